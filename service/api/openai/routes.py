"""OpenAI's paths below `/v1`: completions, and the models that write them."""

from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from service.api import endpoints
from service.api.answer import json_of
from service.api.body import parsed_body
from service.api.body_reader import BodyReader
from service.api.events import EventStream
from service.api.json_response import json_response
from service.api.openai.completions import Completions, error_chunk
from service.api.openai.errors import document
from service.api.routes import HotHandlers, methods_by_path
from service.api.wire import cancel_on_disconnect, check_json, respond
from service.catalog import Catalog
from service.concurrency.open_answers import OpenAnswers
from service.errors import ModelUnknown
from service.forms.completions import CompletionModel, CompletionModels, CompletionRequest
from service.metrics import Metrics
from service.tasks.generation import GenerationModel

COMPLETIONS, MODELS = endpoints.COMPLETE.path, endpoints.LIST_GENERATORS.path
_MODEL = MODELS + "/"
_METHODS = methods_by_path((endpoints.COMPLETE, endpoints.LIST_GENERATORS, endpoints.SHOW_GENERATOR))


class OpenAI:
    """Answers OpenAI's paths. Each handler returns the status that it has sent, or raises a refusal.

    Args:
        catalog: The served models.
        metrics: Observes the time to the first piece of a text.
        open_answers: Limits how long an answer takes.
        bodies: Reads the bodies of requests.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self,
        catalog: Catalog,
        metrics: Metrics,
        open_answers: OpenAnswers,
        bodies: BodyReader,
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._completions = Completions(metrics, open_answers, clock)
        self._bodies = bodies

    def handlers(self) -> HotHandlers:
        """The handler of each endpoint."""
        return {
            endpoints.COMPLETE: self._complete,
            endpoints.LIST_GENERATORS: self._list_generators,
            endpoints.SHOW_GENERATOR: self._show_generator,
        }

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Refuse every other method or path below `/v1/`, and names that no model can have."""
        path = scope["path"]
        is_model = path.startswith(_MODEL)
        allowed = _METHODS.get(endpoints.SHOW_GENERATOR.path if is_model else path, ())
        if is_model and scope["method"] in allowed:
            self._model(path[len(_MODEL) :])
        return await _refuse(allowed, scope, receive, send)

    async def _complete(self, scope: Scope, receive: Receive, send: Send) -> int:
        check_json(scope)
        body = await self._bodies.read(scope, receive)
        request = parsed_body(CompletionRequest, body)
        model = self._model(request.model)
        if not request.stream:
            answer = await cancel_on_disconnect(receive, self._completions.whole(model, request))
            await respond(send, json_of(answer))
            return 200
        events = await cancel_on_disconnect(receive, self._completions.stream(model, request))
        response = EventStream(events, error_chunk)
        await response(scope, receive, send)
        return response.status_code

    async def _list_generators(self, _: Scope, __: Receive, send: Send) -> int:
        entries = [CompletionModel(id=name) for name in self._models()]
        await respond(send, json_of(CompletionModels(data=entries)))
        return 200

    async def _show_generator(self, _: Scope, __: Receive, send: Send, name: str) -> int:
        await respond(send, json_of(CompletionModel(id=self._model(name).name)))
        return 200

    def _model(self, name: str) -> GenerationModel:
        models = self._models()
        if name not in models:
            raise ModelUnknown(f"no model {name!r} that continues texts is served; there are {sorted(models)}")
        return models[name]

    def _models(self) -> dict[str, GenerationModel]:
        return {name: model for name, model in self._catalog.items() if isinstance(model, GenerationModel)}


async def _refuse(allowed: tuple[str, ...], scope: Scope, receive: Receive, send: Send) -> int:
    """Refuse a method, or an unknown path.

    Returns:
        The status that was sent.
    """
    asked = f"{scope['method']} {scope['path']}"
    if allowed:
        refused = document(f"{asked}: the path takes {allowed[0]}", "invalid_request_error", "method_not_supported")
        response = json_response(refused, 405, {"Allow": ", ".join(allowed)})
    else:
        message = f"{asked}: there is nothing at this path; texts are continued by POST {COMPLETIONS}"
        response = json_response(document(message, "invalid_request_error", "unknown_url"), 404)
    await response(scope, receive, send)
    return response.status_code
