"""The same two services without tracegate, for the demonstration to compare."""

from fastapi import FastAPI
from flask import Flask

from examples import fastapi_service, flask_service

fastapi_app = FastAPI(title="orders")
fastapi_app.include_router(fastapi_service.router)

flask_app = Flask("orders")
flask_app.register_blueprint(flask_service.routes)
