"""Whole questions on the plain application: what BentoML's APIs answer, without BentoML's layers.

On BentoML's port they are BentoML's; on the second port these routes answer them, in the same form.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api.answer import JSON
from service.api.body import read_form
from service.api.inference import Inference
from service.api.problem import answers_problems
from service.forms.caption import CaptionRequest
from service.forms.forecasting import ForecastRequest
from service.forms.form import Question
from service.forms.generation import GenerateRequest
from service.forms.music import ComposeRequest
from service.forms.sentiment import SentimentRequest
from service.forms.tagging import TagRequest
from service.forms.translation import TranslateRequest

Q = TypeVar("Q", bound=Question)
Answer = BaseModel | Response


class QuestionRoutes:
    """A route for each kind of question."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    def routes(self) -> list[Route]:
        """What to mount."""
        inference = self._inference
        return [
            _route("/sentiment", SentimentRequest, inference.sentiment),
            _route("/tag", TagRequest, inference.tag),
            _route("/translate", TranslateRequest, inference.translate),
            _route("/generate", GenerateRequest, self._generate),
            _route("/caption", CaptionRequest, inference.caption),
            _route("/compose", ComposeRequest, inference.compose),
            _route("/forecast", ForecastRequest, inference.forecast),
        ]

    async def _generate(self, request: GenerateRequest) -> Answer:
        return await (self._inference.stream if request.stream else self._inference.generate)(request)


def _route(path: str, form: type[Q], answer: Callable[[Q], Awaitable[Answer]]) -> Route:
    @answers_problems
    async def respond(request: Request) -> Response:
        told = await answer(await read_form(request, form))
        return told if isinstance(told, Response) else Response(told.model_dump_json(), media_type=JSON)

    return Route(path, respond, methods=["POST"])
