"""Whole questions on the plain application: what BentoML's APIs answer, in the same form, without BentoML's layers.

On BentoML's port they are BentoML's; on the second port these answer.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.body import parsed
from service.api.inference import Inference
from service.api.wire import check_json, read_body, respond, unless_gone
from service.forms.caption import CaptionRequest
from service.forms.forecasting import ForecastRequest
from service.forms.generation import GenerateRequest
from service.forms.music import ComposeRequest
from service.forms.sentiment import SentimentRequest
from service.forms.tagging import TagRequest
from service.forms.translation import TranslateRequest

FormOrResponse = BaseModel | Response


class Questions:
    """Answers questions by their path; returns the status that it has sent, or raises a refusal.

    Attributes:
        by_path: The form of a question, and what answers it.
    """

    def __init__(self, inference: Inference, max_body_bytes: int) -> None:
        self._inference = inference
        self._max_body_bytes = max_body_bytes
        self.by_path: Mapping[str, tuple[type[BaseModel], Callable[[Any], Coroutine[Any, Any, FormOrResponse]]]] = {
            "/sentiment": (SentimentRequest, inference.sentiment),
            "/tag": (TagRequest, inference.tag),
            "/translate": (TranslateRequest, inference.translate),
            "/generate": (GenerateRequest, self._generate),
            "/caption": (CaptionRequest, inference.caption),
            "/compose": (ComposeRequest, inference.compose),
            "/forecast": (ForecastRequest, inference.forecast),
        }

    async def answer(self, scope: Scope, receive: Receive, send: Send, path: str) -> int:
        """Answer one."""
        body = await read_body(scope, receive, self._max_body_bytes)
        check_json(scope)
        form, asked = self.by_path[path]
        told = await unless_gone(receive, asked(parsed(form, body or b"{}")))  # no body is no fields, as for BentoML
        if isinstance(told, Response):
            await told(scope, receive, send)
            return told.status_code
        await respond(send, told.model_dump_json().encode())
        return 200

    async def _generate(self, request: GenerateRequest) -> FormOrResponse:
        return await (self._inference.stream if request.stream else self._inference.generate)(request)
