"""`GET /models`, with shipped bundles."""

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from service.api.models import ModelRoutes
from service.api.routes import routes_of
from service.bundle.manifest import read_bundle
from service.catalog import Catalog
from service.forms.form import Form
from service.forms.sentiment import SentimentRequest, TextStep
from service.forms.tagging import TagRequest
from service.metrics import Metrics
from service.settings import BundleSettings, EngineSettings
from tests.fakes.asgi import Client

pytestmark = pytest.mark.anyio
SHIPPED = Path(__file__).parents[3] / "models"


async def told(*names: str) -> dict[str, Any]:
    """What clients are told of some shipped bundles, by name."""
    catalog = Catalog(BundleSettings(), EngineSettings(), Metrics())
    for name in names:
        model = catalog.load(read_bundle(SHIPPED / name))
        catalog.add(model)
        catalog.make_current(model.bundle.tag)
    answer = await Client(Starlette(routes=routes_of(ModelRoutes(catalog).handlers()))).request("GET", "/models")
    return {model["name"]: model for model in answer.json()["models"]}


async def test_a_models_inputs_are_those_that_something_accepts() -> None:
    forms: dict[str, tuple[bool, type[Form]]] = {
        "sentiment": (True, TextStep),
        "sentiment-bidirectional": (False, SentimentRequest),
        "entities": (False, TagRequest),
    }
    models = await told(*forms)
    assert {name: (model["sessions"], model["inputs"]) for name, model in models.items()} == {
        name: (has_sessions, form.model_json_schema()) for name, (has_sessions, form) in forms.items()
    }
