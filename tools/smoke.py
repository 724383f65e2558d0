"""Does an installed tracegate do its job? One error each through FastAPI and Flask, outside the working tree."""

from __future__ import annotations

import asyncio
from importlib import metadata, resources

import httpx
from fastapi import FastAPI
from flask import Flask

import tracegate
from tracegate.integrations import fastapi, flask

SENT = "3F2504E0-4F89-41D3-9A0C-0305E82C3301"
HEADERS = {"X-Trace-Id": SENT}


async def ask_fastapi() -> httpx.Response:
    """Return FastAPI's own 404."""
    application = FastAPI()
    fastapi.install(application)
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://smoke") as client:
        return await client.get("/nowhere", headers=HEADERS)


def ask_flask() -> httpx.Response:
    """Return a 404 with JSON that a view of a Flask application made."""
    application = Flask("smoke")
    flask.TraceGate(application)
    application.add_url_rule("/", view_func=lambda: ({"bound": str(tracegate.require_trace().id)}, 404))
    with httpx.Client(transport=httpx.WSGITransport(application), base_url="http://smoke") as client:
        return client.get("/", headers=HEADERS)


def main() -> None:
    """Ask both, and look at what the wheel holds."""
    for reply in (asyncio.run(ask_fastapi()), ask_flask()):
        assert reply.status_code == 404
        assert reply.headers.get_list("X-Trace-Id") == [SENT]
        assert reply.json()["trace_id"] == SENT
    assert resources.files(tracegate).joinpath("py.typed").is_file()
    rooms = {path.parts[0] for path in metadata.files("tracegate-http") or ()}
    assert {room for room in rooms if not room.startswith(("tracegate_http-", ".."))} == {"tracegate"}
    print(f"tracegate-http {metadata.version('tracegate-http')} works from {tracegate.__file__}")


if __name__ == "__main__":
    main()
