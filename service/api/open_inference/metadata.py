"""`/v2`: metadata of the server and of models, in the Open Inference Protocol's form."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from service.api import endpoints
from service.api.answer import form_response
from service.api.json_response import json_response
from service.api.open_inference.signature import signature_of
from service.api.open_inference.tensors import DATATYPES, MAX_ROWS, metadata_of, shape_of
from service.api.refusals import not_ready
from service.api.routes import Handlers
from service.bundle.stage import TensorSpec
from service.catalog import Catalog
from service.forms.open_inference import ModelMetadata, ModelReady, ServerMetadata
from service.tasks.task import ServedModel, tensor_model
from service.version import own_version

PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"
EXTENSIONS = [
    "sequence",
    "sequence(string_id)",
    "binary_tensor_data",
    "parameters",
    "model_configuration",
    "model_repository",
]


class OpenInferenceRoutes:
    """Answers with the metadata of the server and of tensor models. Of other models only that they are ready.

    Args:
        catalog: The models.
        is_serving: Whether questions and steps are answered.
        idle_seconds: How long a sequence may be idle.
    """

    def __init__(self, catalog: Catalog, is_serving: Callable[[], bool], idle_seconds: int) -> None:
        self._catalog = catalog
        self._is_serving = is_serving
        self._idle_seconds = idle_seconds

    def handlers(self) -> Handlers:
        """The handler of each endpoint."""
        return {
            endpoints.SHOW_SERVER: self.show_server,
            endpoints.SERVER_LIVE: self.server_live,
            endpoints.SERVER_READY: self.server_ready,
            endpoints.SHOW_MODEL: self.show_model,
            endpoints.MODEL_READY: self.model_ready,
            endpoints.SHOW_MODEL_CONFIG: self.show_model_config,
            endpoints.SHOW_VERSION: self.show_model,
            endpoints.VERSION_READY: self.model_ready,
            endpoints.SHOW_VERSION_CONFIG: self.show_model_config,
        }

    async def show_server(self, request: Request) -> Response:
        """Return the server's metadata and its protocol extensions."""
        return form_response(ServerMetadata(name="unrolled", version=own_version(), extensions=EXTENSIONS))

    async def server_live(self, request: Request) -> Response:
        """Answer that the worker is alive."""
        return json_response({"live": True})

    async def server_ready(self, request: Request) -> Response:
        """Answer that every model is ready, or refuse."""
        if not self._is_serving():
            raise not_ready()
        return json_response({"ready": True})

    async def show_model(self, request: Request) -> Response:
        """Return a model's versions and tensors."""
        model = tensor_model(self._served(request))
        signature = signature_of(model)
        return form_response(
            ModelMetadata(
                name=model.name,
                versions=self._catalog.versions(model.name),
                platform=PLATFORM,
                inputs=[metadata_of(signature.x)],
                outputs=[metadata_of(output) for output in signature.outputs],
            )
        )

    async def model_ready(self, request: Request) -> Response:
        """Answer that a model is ready, or refuse."""
        model = self._served(request)
        if not (self._is_serving() and model.engine.is_serving):
            raise not_ready()
        return form_response(ModelReady(name=model.name, ready=True))

    async def show_model_config(self, request: Request) -> Response:
        """Return how a model is served, in the form that Triton's clients need."""
        model = tensor_model(self._served(request))
        signature = signature_of(model)
        return json_response(
            {
                "name": model.name,
                "platform": PLATFORM,
                "backend": BACKEND,
                "max_batch_size": MAX_ROWS,
                "input": [_config(signature.x)],
                "output": [_config(output) for output in signature.outputs],
                "sequence_batching": {"max_sequence_idle_microseconds": self._idle_seconds * 1_000_000, "direct": {}},
                "model_transaction_policy": {"decoupled": False},
            }
        )

    def _served(self, request: Request) -> ServedModel:
        asked = request.path_params
        return self._catalog.served(asked["name"], asked.get("version", ""))


def _config(spec: TensorSpec) -> dict[str, Any]:
    """Describe a tensor without its batch axis, as a configuration lists it."""
    return {"name": spec.name, "data_type": f"TYPE_{DATATYPES[spec.dtype]}", "dims": shape_of(spec)[1:]}
