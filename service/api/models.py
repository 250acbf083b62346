"""`GET /models`: the served models, all or one."""

from functools import reduce
from operator import or_
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from service.api import endpoints
from service.api.answer import form_response, json_of
from service.api.large_texts import compressed, revalidated
from service.api.media_types import JSON
from service.api.open_inference.signature import signature_of
from service.api.open_inference.tensors import metadata_of
from service.api.routes import Handlers
from service.catalog import Catalog
from service.errors import ModelUnknown
from service.forms.models import ModelList, ModelView, TensorStep
from service.tasks.task import SequenceModel, ServedModel, TensorModel
from service.tasks.tokens import TokenModel


class ModelRoutes:
    """The `/models` resource."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._views: dict[str, ModelView] = {}  # by tag; computing a model's schemas takes milliseconds

    def handlers(self) -> Handlers:
        """The handler of each endpoint."""
        return {endpoints.LIST_MODELS: self.list_models, endpoints.SHOW_SERVED_MODEL: self.show_model}

    async def list_models(self, request: Request) -> Response:
        """List every served model with its task, version, inputs, figures and licence."""
        models = list(self._catalog.values())
        self._views = {model.bundle.tag: self._view(model) for model in models}
        content = json_of(ModelList(models=list(self._views.values())), exclude_none=True)
        return await compressed(request, revalidated(request, content, JSON))

    async def show_model(self, request: Request) -> Response:
        """Show one of them."""
        name = request.path_params["name"]
        model = self._catalog.get(name)
        if model is None:
            raise ModelUnknown(f"no model {name!r} is served; there are {sorted(self._catalog)}")
        return form_response(self._view(model))

    def _view(self, model: ServedModel) -> ModelView:
        tag = model.bundle.tag
        if tag not in self._views:
            self._views[tag] = describe(model)
        return self._views[tag]


def describe(model: ServedModel) -> ModelView:
    """Return a model's description for clients."""
    manifest = model.bundle.manifest
    return ModelView(
        name=model.name,
        bundle=model.bundle.tag,
        version=model.bundle.version,
        task=manifest.task.model_dump(exclude={"tokenizer"}),
        cell=manifest.cell,
        sessions=isinstance(model, SequenceModel),
        inputs=model.inputs_form.model_json_schema(),
        outputs=_outputs(model) if isinstance(model, SequenceModel) else None,
        tensors=_tensors(model) if isinstance(model, TensorModel) else None,
        rungs={stage.name: sorted(stage.rungs) for stage in manifest.stages},
        state=list(manifest.state),
        figures=list(manifest.figures),
        data=list(manifest.data),
        licence=manifest.licence,
    )


def _outputs(model: SequenceModel[Any]) -> dict[str, Any]:
    any_of_them: Any = reduce(or_, model.outputs_forms)
    return TypeAdapter(any_of_them).json_schema()


def _tensors(model: TensorModel[Any]) -> TensorStep:
    signature = signature_of(model)
    return TensorStep(
        field=model.tensors_name,
        input=metadata_of(signature.x),
        outputs=[metadata_of(output) for output in signature.outputs],
        num_tokens=model.num_tokens if isinstance(model, TokenModel) else None,
    )
