"""Which applications does a server under load run? uvicorn calls these factories by name."""

from typing import Any

from benchmarks.exchange import asgi_app

__all__ = ["bare_fastapi", "bare_raw", "gated_fastapi", "gated_raw"]


def bare_raw() -> Any:  # noqa: ANN401  # whatever uvicorn serves
    """Return the bare application."""
    return asgi_app()


def gated_raw() -> Any:  # noqa: ANN401
    """Return the bare application behind the gate."""
    from tracegate.adapters.asgi import TraceGate

    return TraceGate(asgi_app())


def bare_fastapi() -> Any:  # noqa: ANN401
    """Return a FastAPI application."""
    from fastapi import FastAPI

    application = FastAPI()

    @application.get("/widgets/{number}")
    async def widget(number: int) -> dict[str, Any]:
        return {"id": number, "name": "a widget", "tags": ["x" * 40] * 3}

    return application


def gated_fastapi() -> Any:  # noqa: ANN401
    """Return the FastAPI application, installed as the README says."""
    from tracegate.integrations.fastapi import install

    application = bare_fastapi()
    return install(application) or application
