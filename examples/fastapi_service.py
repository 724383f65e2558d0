"""A FastAPI service with a trace id on every reply. Run: ``uvicorn examples.fastapi_service:app``."""

import os
from collections.abc import AsyncIterator

from fastapi import APIRouter, FastAPI, HTTPException, Response
from fastapi.responses import StreamingResponse

from tracegate import Policy, current_trace
from tracegate.integrations.fastapi import install

router = APIRouter()


@router.get("/orders/{number}")
async def order(number: int) -> dict[str, object]:
    """Answer with an order; the bound trace is at hand everywhere."""
    if number > 100:
        raise HTTPException(404, f"no order {number}")
    trace = current_trace()
    return {"order": number, "handled_under": str(trace)}


@router.get("/forged")
async def forged(response: Response) -> dict[str, bool]:
    """Name another trace than the request's: what a copied header or a cache does."""
    response.headers["X-Trace-Id"] = "deadbeef-0000-4000-8000-000000000000"
    return {"ok": True}


@router.get("/crash")
async def crash() -> None:
    """Fail as code does at night."""
    raise RuntimeError("the database is gone")


@router.get("/tokens")
async def tokens(fail_after: int = 0) -> StreamingResponse:
    """Stream tokens as server-sent events, and fail after some of them if asked to."""

    async def stream() -> AsyncIterator[str]:
        for position, word in enumerate(("One", "trace", "for", "every", "event"), start=1):
            yield f'event: token\ndata: {{"text": "{word}"}}\n\n'
            if position == fail_after:
                raise RuntimeError("the model is gone")
        yield "data: [DONE]\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer probes, which send no id."""
    return {"status": "ok"}


app = FastAPI(title="orders")
app.include_router(router)
policy = Policy(
    exempt_paths=("/healthz",),
    service="orders",
    store_url=os.environ.get("TRACEGATE_STORE_URL", ""),  # without one, events stand in the log only
)
install(app, policy)
