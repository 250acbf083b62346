"""What a session generates, as server-sent events.

    event: text    data: {"text": "..."}                            a piece, as it becomes certain
    event: frames  data: {"frames": [[60, 64]]}                     the same of music
    event: done    data: {"session_id", "step", "outputs"}          the step is taken: only this acknowledges it
    event: error   data: a problem                                  nothing was committed

A client that hangs up before `done` was sent calls the step off, unless the store has it already. Asked again with the
same step number, it gets the same answer.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api.client_watch import CLIENT_CLOSED_REQUEST, ClientGone
from service.api.measure import COUNTED_STATUS
from service.api.problem import problem_of
from service.api.refusals import refusal_of
from service.api.request_id import log_suffix
from service.api.steps.items import refusal
from service.api.wire import cancel_on_disconnect
from service.catalog import MODELS
from service.concurrency.streams import wait_for_first
from service.errors import ServiceError
from service.steps.steps import Steps
from service.steps.turn import Ask, Turn
from service.tasks.language import LanguageModel
from service.tasks.task import Piece

logger = logging.getLogger(__name__)

EVENT_STREAM = "text/event-stream"
_AT_ONCE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # for nginx
PIECES = tuple(model.piece_name for model in MODELS if issubclass(model, LanguageModel))


def event(name: str, data: bytes) -> bytes:
    """Return one server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def piece_event(piece: Piece) -> bytes:
    """Return a piece as an event that is named like its first field."""
    name = next(iter(piece))
    return event(name, orjson.dumps(piece))


def error_event(error: ServiceError) -> bytes:
    """Return a refusal as an event."""
    return event("error", orjson.dumps(problem_of(error)))


class EventStream(StreamingResponse):
    """Sends events as they come, and asks proxies not to buffer them.

    If they fail, the last event is `refused` of the error, since the status has been sent.

    The generator is closed when the response ends. If the client leaves without reading, the cancellation reaches
    `send`, not the generator, whose work would go on until it is garbage-collected. It is started before the response,
    since closing a generator that was never started closes nothing inside it.

    Attributes:
        status_code: The status that was sent; afterwards the one to count: that of the error if the events failed, 499
            if the client left before the end.
    """

    def __init__(self, events: AsyncGenerator[bytes], refused: Callable[[ServiceError], bytes] = error_event) -> None:
        super().__init__(events, media_type=EVENT_STREAM, headers=_AT_ONCE)
        self._events = events
        self._refused = refused
        self._is_whole = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            self.body_iterator = self._whole(await wait_for_first(self._events))
            with suppress(ClientGone):  # Starlette's way leaves a cycle for each
                await cancel_on_disconnect(receive, self.stream_response(send))
        if not self._is_whole:
            self.status_code = CLIENT_CLOSED_REQUEST
        scope[COUNTED_STATUS] = self.status_code

    async def _whole(self, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async with aclosing(events):
            try:
                async for each in events:
                    yield each
            except Exception as error:
                if not isinstance(error, ServiceError):
                    logger.exception("a stream of server-sent events failed%s", log_suffix())
                refused = refusal_of(error).without_frames()
                self.status_code = refused.status
                yield self._refused(refused)
        self._is_whole = True


async def stream_step(
    steps: Steps, ask: Ask, first_piece: Callable[[float], None], scope: Scope, receive: Receive, send: Send
) -> int:
    """Take a step and send what it generates piece by piece.

    Args:
        first_piece: Called with the seconds to the first piece.

    Returns:
        The status to count.

    Raises:
        ServiceError: It was refused, or failed, before its first event.
        ClientGone: The client hung up before that.
    """
    events: asyncio.Queue[Piece | Turn] = asyncio.Queue()
    turn = Turn(ask, done=events.put_nowait, on_piece=events.put_nowait)
    steps.submit(turn)
    try:
        first = await cancel_on_disconnect(receive, events.get())
        if isinstance(first, Turn) and first.answer is None:
            raise refusal(first)
        if not isinstance(first, Turn):
            first_piece(time.perf_counter() - turn.started)
        response = EventStream(_events(first, events))
        await response(scope, receive, send)
    finally:
        steps.call_off(turn)
    return response.status_code


async def _events(first: Piece | Turn, events: asyncio.Queue[Piece | Turn]) -> AsyncGenerator[bytes]:
    latest, has_pieces = first, False
    while not isinstance(latest, Turn):
        has_pieces = True
        yield piece_event(latest)
        latest = await events.get()
    if latest.answer is None:
        raise refusal(latest)
    if not has_pieces:  # a repeated step, whose whole answer is there
        outputs = orjson.loads(latest.answer.outputs)
        yield piece_event({name: outputs[name] for name in PIECES if name in outputs})
    yield event("done", latest.answer.json())
