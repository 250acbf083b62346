"""`POST /sessions/{id}/steps` without ASGI: a body in, a response's bytes out through a callback, with no task.

Only a permitted step in tensors whose answer is not large goes this way. Everything else, including what is to be
refused before it becomes a step, is left to the application.
"""

import logging
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import NamedTuple

from starlette.responses import Response

from service.api.auth import bearer_token
from service.api.body import parsed
from service.api.endpoints import TAKE_STEP
from service.api.origins import Origins
from service.api.problem import problem_response
from service.api.refusals import failure
from service.api.request_id import REQUEST_ID, request_id_of
from service.api.steps.items import refusal
from service.api.steps.steps import ask_of, num_answered
from service.errors import ServiceError
from service.forms.steps import StepRequest
from service.keys.key_file import Key
from service.keys.keys import ANONYMOUS, Keys
from service.metrics import RequestTally
from service.steps.answer_room import AnswerRoom
from service.steps.steps import Steps
from service.steps.turn import Turn

logger = logging.getLogger(__name__)

_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


class Caller(NamedTuple):
    """An authenticated caller.

    Attributes:
        owner: The owner of the sessions.
        key: The key of the request. None if the service has no keys.
        request_id: The id that it gave the request, empty if none.
    """

    owner: str
    key: Key | None
    request_id: bytes = b""


class SingleSteps:
    """Takes single steps.

    Args:
        steps: Takes them.
        answer_room: Says which answers are large and wait for room: their steps are left to the application.
        keys: The API keys; None if callers need none.
        origins: Which pages may call.
        tally: Counts them.
        max_body_bytes: Longest body.
    """

    def __init__(
        self,
        steps: Steps,
        answer_room: AnswerRoom,
        keys: Keys | None,
        origins: Origins,
        tally: RequestTally,
        max_body_bytes: int,
    ) -> None:
        self._steps = steps
        self._answer_room = answer_room
        self._max_body_bytes = max_body_bytes
        self._keys = keys
        self._origins = origins
        self._tally = tally

    def authenticate(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller | None:
        """Authenticate a caller by headers, whose names are in lower case.

        Returns:
            The caller. None if the headers have no valid key, or come from a page that may not call or whose answers
            need CORS headers.
        """
        if not self._origins.is_plain(headers):
            return None
        if self._keys is None:
            return Caller(ANONYMOUS, None, request_id_of(headers))
        key = self._keys.find(bearer_token(headers))
        return None if key is None else Caller(key.owner, key, request_id_of(headers))

    def try_begin(self, caller: Caller, session_id: str, body: bytes, answer: Callable[[bytes, bytes], None]) -> bool:
        """Begin a step if it is in tensors and its answer is not large.

        Args:
            caller: From `authenticate`, perhaps for an earlier request of the connection.
            session_id: The session of the step.
            body: JSON.
            answer: Called with the response's head, without the empty line that ends it, and its body.

        Returns:
            Whether the step was begun. If not, the application has to answer the request.
        """
        if len(body) > self._max_body_bytes or not self._may_call(caller):
            return False
        try:
            request = parsed(StepRequest, body)
        except ServiceError:
            return False
        ask = ask_of(caller.owner, session_id, request)
        if ask.is_streamed or not ask.is_in_tensors or self._answer_room.is_needed(num_answered(request)):
            return False

        def done(turn: Turn) -> None:
            try:
                status, head, content = _response(turn)
            except Exception:  # the client waits for an answer, and so does its next request
                logger.exception("a step of session %s of owner %s could not be answered", session_id, caller.owner)
                status, head, content = _FAILED
            if caller.request_id:
                head += b"%b: %b\r\n" % (REQUEST_ID, caller.request_id)
            seconds = time.perf_counter() - turn.started
            answer(head, content)
            self._tally.add(TAKE_STEP.label, status, seconds)

        self._steps.submit(Turn(ask, done))
        return True

    def _may_call(self, caller: Caller) -> bool:
        return self._keys is None or (caller.key is not None and self._keys.is_valid(caller.key))


def _response(turn: Turn) -> tuple[int, bytes, bytes]:
    """Return the status, the head and the body of a turn's response."""
    if turn.answer is None:
        return _raw(problem_response(refusal(turn)))
    content = turn.answer.json()
    return 200, b"%bcontent-length: %d\r\n" % (_JSON, len(content)), content


def _raw(response: Response) -> tuple[int, bytes, bytes]:
    status = response.status_code
    fields = b"".join([b"%b: %b\r\n" % field for field in response.raw_headers])
    return status, b"HTTP/1.1 %d %b\r\n%b" % (status, HTTPStatus(status).phrase.encode(), fields), bytes(response.body)


_FAILED = _raw(problem_response(failure()))
