"""`GET /models`: the served models."""

from starlette.requests import Request
from starlette.responses import Response

from service.api import endpoints
from service.api.answer import form_response
from service.api.routes import Handlers
from service.catalog import Catalog
from service.forms.models import ModelList, ModelView
from service.tasks.task import SequenceModel, ServedModel


class ModelRoutes:
    """The `/models` resource."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def handlers(self) -> Handlers:
        """The handler of each endpoint."""
        return {endpoints.LIST_MODELS: self.list_models}

    async def list_models(self, request: Request) -> Response:
        """Every served model with its task, version, inputs, figures and licence."""
        return form_response(ModelList(models=[describe(model) for model in self._catalog.values()]))


def describe(model: ServedModel) -> ModelView:
    """A model as its clients see it."""
    manifest = model.bundle.manifest
    return ModelView(
        name=model.name,
        bundle=model.bundle.tag,
        version=model.bundle.version,
        task=manifest.task.model_dump(exclude={"tokenizer"}),
        cell=manifest.cell,
        sessions=isinstance(model, SequenceModel),
        inputs=model.inputs_form.model_json_schema(),
        rungs={stage.name: sorted(stage.rungs) for stage in manifest.stages},
        state=list(manifest.state),
        figures=list(manifest.figures),
        data=list(manifest.data),
        licence=manifest.licence,
    )
