"""What clients are told of shipped bundles."""

from typing import Any

from starlette.applications import Starlette

from service.api.models import ModelRoutes
from service.api.routes import routes_of
from service.bundle.manifest import read_bundle
from tests.fakes.asgi import Client
from tests.fakes.catalog import new_catalog, serve
from tests.paths import MODELS


async def listing_of(*names: str) -> dict[str, Any]:
    """What `GET /models` answers, by name."""
    catalog = new_catalog()
    serve(catalog, [catalog.load(read_bundle(MODELS / name)) for name in names])
    answer = await Client(Starlette(routes=routes_of(ModelRoutes(catalog).handlers()))).request("GET", "/models")
    return {model["name"]: model for model in answer.json()["models"]}
