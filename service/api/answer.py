"""Forms as JSON responses."""

import logging
import weakref
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.client_watch import CLIENT_CLOSED_REQUEST, ClientSlow
from service.api.media_types import JSON
from service.api.request_id import log_suffix
from service.api.wire import respond
from service.steps.answer_room import Holding

logger = logging.getLogger(__name__)


def json_of(form: BaseModel, **options: Any) -> bytes:  # noqa: ANN401  those of `BaseModel.model_dump_json`
    """Return a form as JSON.

    Not by way of a str, as `model_dump_json` makes it, which would take up to four bytes a character: the width of its
    widest.
    """
    return form.__pydantic_serializer__.to_json(form, **options)


def form_response(form: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a form as a response, without the fields that are None."""
    return Response(json_of(form, exclude_none=True), status_code=status, media_type=JSON, headers=headers)


class LargeResponse(Response):
    """A form as JSON that takes its room among large answers until its client has it, or nobody can send it any more.

    Attributes:
        status_code: As it was sent; once it is over, 499 if the client has not read it in time.
    """

    def __init__(self, form: BaseModel, holding: Holding) -> None:
        weakref.finalize(self, holding.leave)
        super().__init__(json_of(form), media_type=JSON)
        self._holding = holding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._holding:
            try:
                await respond(send, bytes(self.body))
            except ClientSlow:
                self.status_code = CLIENT_CLOSED_REQUEST
                logger.warning("a client does not read its answer; its connection ends%s", log_suffix())
