"""What is served, as `GET /models` tells it."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from service.api import endpoints
from service.api.answer import JSON
from service.api.routes import Handlers
from service.catalog import Catalog
from service.tasks.task import SequenceModel, ServedModel


class ModelRoutes:
    """The `/models` resource."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def handlers(self) -> Handlers:
        """What answers where."""
        return {endpoints.LIST_MODELS: self.list_models}

    async def list_models(self, request: Request) -> Response:
        """Every served model with its task, version, inputs, figures and licence."""
        models = [describe(model) for model in self._catalog.values()]
        return Response(orjson.dumps({"models": models}), media_type=JSON)


def describe(model: ServedModel) -> dict[str, Any]:
    """What a client may want to know of a model."""
    manifest = model.bundle.manifest
    return {
        "name": model.name,
        "bundle": model.bundle.tag,
        "version": model.bundle.version,
        "task": manifest.task.model_dump(exclude={"tokenizer"}),
        "cell": manifest.cell,
        "sessions": isinstance(model, SequenceModel),
        "inputs": model.inputs_form.model_json_schema(),
        "rungs": {stage.name: sorted(stage.rungs) for stage in manifest.stages},
        "state": [tensor.model_dump() for tensor in manifest.state],
        "figures": [figure.model_dump() for figure in manifest.figures],
        "data": [source.model_dump(exclude_defaults=True) for source in manifest.data],
        "licence": manifest.licence,
    }
