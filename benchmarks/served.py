"""Which applications does a server under load run? uvicorn calls these factories by name."""

from typing import Any

from benchmarks.exchange import TRACE_ID, ASGIApp, Message, Receive, Send, asgi_app

__all__ = ["bare_fastapi", "bare_raw", "gated_fastapi", "gated_raw", "header_fastapi", "header_raw"]


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
    install(application)
    return application


def header_raw() -> ASGIApp:
    """Return the bare application behind a wrapper that adds the trace header and does nothing else."""
    return _with_header(asgi_app())


def header_fastapi() -> ASGIApp:
    """Return the FastAPI application behind the same wrapper."""
    return _with_header(bare_fastapi())


def _with_header(application: ASGIApp) -> ASGIApp:
    line = (b"x-trace-id", TRACE_ID.encode())

    async def wrapper(scope: Any, receive: Receive, send: Send) -> None:  # noqa: ANN401
        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], line]}
            await send(message)

        await application(scope, receive, forward)

    return wrapper
