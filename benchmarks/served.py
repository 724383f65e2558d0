"""Which applications does a server under load run? uvicorn calls these factories by name."""

from typing import Any

from benchmarks.exchange import TRACE_ID, ASGIApp, Message, Receive, Send, asgi_app

__all__ = [
    "bare_fastapi",
    "bare_raw",
    "bare_service",
    "gated_fastapi",
    "gated_raw",
    "gated_service",
    "header_fastapi",
    "header_raw",
    "header_service",
]


def bare_raw() -> Any:  # noqa: ANN401  # whatever uvicorn serves
    """Return the bare application."""
    return asgi_app()


def gated_raw() -> Any:  # noqa: ANN401
    """Return the bare application behind the gate."""
    from tracegate.adapters.asgi import TraceGate

    return TraceGate(asgi_app())


def bare_fastapi() -> Any:  # noqa: ANN401
    """Return a FastAPI application that does as little as one can."""
    from fastapi import FastAPI

    application = FastAPI()

    @application.get("/widgets/{number}")
    async def widget(number: int) -> dict[str, Any]:
        return {"id": number, "name": "a widget", "tags": ["x" * 40] * 3}

    return application


def bare_service() -> Any:  # noqa: ANN401
    """Return a FastAPI application that does what services do: a validated body, a dependency, a response model."""
    from typing import Annotated

    from fastapi import Depends, FastAPI
    from pydantic import BaseModel, Field

    class Line(BaseModel):
        item: str = Field(max_length=80)
        count: int = Field(gt=0)

    class Order(BaseModel):
        customer: str
        lines: list[Line]

    class Receipt(BaseModel):
        number: int
        customer: str
        lines: list[Line]
        total: float

    async def prices() -> dict[str, float]:
        return {"a widget": 1.25, "a gadget": 3.5}

    application = FastAPI()

    @application.post("/orders", status_code=201)
    async def order(order: Order, prices: Annotated[dict[str, float], Depends(prices)]) -> Receipt:
        total = sum(prices[line.item] * line.count for line in order.lines)
        return Receipt(number=4711, customer=order.customer, lines=order.lines, total=total)

    return application


def gated_fastapi() -> Any:  # noqa: ANN401
    """Return the FastAPI application, installed as the README says."""
    return _installed(bare_fastapi())


def gated_service() -> Any:  # noqa: ANN401
    """Return the service, installed as the README says."""
    return _installed(bare_service())


def header_raw() -> ASGIApp:
    """Return the bare application behind a wrapper that adds the trace header and does nothing else."""
    return _with_header(asgi_app())


def header_fastapi() -> ASGIApp:
    """Return the FastAPI application behind the same wrapper."""
    return _with_header(bare_fastapi())


def header_service() -> ASGIApp:
    """Return the service behind the same wrapper."""
    return _with_header(bare_service())


def _installed(application: Any) -> Any:  # noqa: ANN401
    from tracegate.integrations.fastapi import install

    install(application)
    return application


def _with_header(application: ASGIApp) -> ASGIApp:
    line = (b"x-trace-id", TRACE_ID.encode())

    async def wrapper(scope: Any, receive: Receive, send: Send) -> None:  # noqa: ANN401
        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], line]}
            await send(message)

        await application(scope, receive, forward)

    return wrapper
