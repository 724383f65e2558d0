"""A FastAPI service that calls other services: ``uvicorn examples.outbound.asgi_service:application``.

POST it a list of ``{"url": …, "arguments": …}``: it posts each ``arguments`` to its ``url``, one after the other, under
the trace of the request. That is what the W3C trace-context suite asks of a service under test.
"""

from typing import Annotated, Any

from fastapi import Body, FastAPI

from examples.outbound.client import async_client
from tracegate import Policy
from tracegate.adapters.asgi import TraceGate

__all__ = ["api", "application"]

api = FastAPI()


@api.post("/call")
async def call(actions: Annotated[list[dict[str, Any]], Body()]) -> list[int]:
    """Do each of *actions*; return the status codes."""
    async with async_client() as http:
        return [(await http.post(action["url"], json=action["arguments"])).status_code for action in actions]


application = TraceGate(api, Policy(mode="mint"))
