"""What does a FastAPI service say whose gate is configured by the environment alone?"""

from __future__ import annotations

from fastapi import FastAPI

from tracegate.integrations.fastapi import install

__all__ = ["app"]

app = FastAPI()


@app.get("/ok")
async def greet() -> dict[str, bool]:
    return {"ok": True}


install(app)
