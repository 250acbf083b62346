"""The messages of a stream: requests for steps, and their answers or refusals.

A text message is one item with the client's "id", which its answer echoes. A binary message is the length of its JSON
in four bytes, little-endian, and then the binary form of many steps; so is its answer. Knows no connection.
"""

import asyncio
import json
import logging
import re
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial

import orjson
from pydantic_core import from_json
from starlette.types import Message

from service.api.body import parsed
from service.api.client_watch import CLIENT_CLOSED_REQUEST
from service.api.endpoints import STREAM
from service.api.problem import problem_of
from service.api.steps import binary
from service.api.steps.items import item_json, refusal
from service.api.steps.steps import ask_of, num_answered
from service.errors import Malformed, ServiceError, TooLarge
from service.forms.steps import ClientId, StreamItem
from service.metrics import RequestTally
from service.steps.answer_room import AS_A_MESSAGE, AS_A_WHOLE, AnswerRoom, Holding
from service.steps.steps import Steps
from service.steps.turn import Turn

logger = logging.getLogger(__name__)

MakeMessage = Callable[[], Message]
SendAnswer = Callable[[MakeMessage, Holding | None, bool], None]  # with whether it is sent at once

_NO_ID: dict[str, ClientId] = {"id": None}
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_ESCAPED_HALF = re.compile(r"\\u[Dd][89A-Fa-f]")
_HEAD_LENGTH = struct.Struct("<I")


class Messages:
    """The messages of one client.

    Args:
        owner: Owner of the connection.
        steps: Takes the steps.
        answer_room: Makes large answers wait for memory.
        tally: Counts each as a request.
        max_message_bytes: A longer one is refused.
        send_answer: Makes an answer and sends it, at once or at the end of the event loop's turn. Leaves its room, if
            it has any, once it is sent or will not be.

    Attributes:
        num_bytes: Bytes of the messages whose steps are under way.
    """

    def __init__(
        self,
        owner: str,
        steps: Steps,
        answer_room: AnswerRoom,
        tally: RequestTally,
        max_message_bytes: int,
        send_answer: SendAnswer,
    ) -> None:
        self._owner = owner
        self._steps = steps
        self._room = answer_room
        self._tally = tally
        self._max_message_bytes = max_message_bytes
        self._send_answer = send_answer
        self._in_flight: dict[Turn, int] = {}  # with its share of its message's bytes
        self._waiting: asyncio.Task[None] | None = None
        self._drained: asyncio.Event | None = None
        self._is_gone = False
        self._is_draining = False
        self.num_bytes = 0

    def __len__(self) -> int:
        """Number of steps under way."""
        return len(self._in_flight)

    @property
    def is_waiting(self) -> bool:
        """Whether a message waits for room for its answer. No other should be read until it has some."""
        return self._waiting is not None

    def read(self, message: Message) -> None:
        """Begin the steps of a `websocket.receive`."""
        text, content = message.get("text"), message.get("bytes")
        if text is not None:
            self._read_text(text)
        elif content is not None:
            self._read_binary(content)

    def call_off(self) -> None:
        """Call off all steps under way, for a client that has gone."""
        self._is_gone = True
        if self._waiting is not None:
            self._waiting.cancel()
        for turn in list(self._in_flight):
            self._steps.call_off(turn)

    async def drain(self) -> None:
        """Wait until no step is under way. Meanwhile, the service admits no more, so no message waits for room."""
        self._is_draining = True
        if self._waiting is not None:
            self._waiting.cancel()
        if self._in_flight:
            self._drained = asyncio.Event()
            await self._drained.wait()

    def _read_text(self, text: str) -> None:
        started = time.perf_counter()
        try:
            self._check_length(text_bytes(text))
            item = parsed(StreamItem, text)
            ask = ask_of(self._owner, item.session_id, item)
        except ServiceError as error:
            self._count(error.status, started)
            identity = _NO_ID if isinstance(error, TooLarge) else _identity_of(text)
            problem = {**identity, "status": error.status, "problem": problem_of(error)}
            self._send_answer(lambda: {"type": "websocket.send", "text": orjson.dumps(problem).decode()}, None, False)
            return
        holding = self._room.of_items(num_answered(item), AS_A_MESSAGE)
        turn = Turn(ask, lambda turn: self._answer(turn, item.id, holding), source=self)
        self._begin([turn], holding, text_bytes(text))

    def _answer(self, turn: Turn, client_id: ClientId, holding: Holding) -> None:
        self._end(turn)
        self._send(lambda: _text(turn, client_id), holding)
        self._count_end(turn)

    def _read_binary(self, content: bytes) -> None:
        started = time.perf_counter()
        try:
            self._check_length(len(content))
            if len(content) < _HEAD_LENGTH.size:
                raise Malformed(f"a binary message has at least {_HEAD_LENGTH.size} bytes")
            (length,) = _HEAD_LENGTH.unpack_from(content)
            request = binary.read(content[_HEAD_LENGTH.size :], b"%d" % length)
        except ServiceError as error:
            self._count(error.status, started)
            head = orjson.dumps({"status": error.status, "problem": problem_of(error)})
            message: Message = {"type": "websocket.send", "bytes": _HEAD_LENGTH.pack(len(head)) + head}
            self._send_answer(lambda: message, None, False)
            return
        holding = self._room.of_items(request.num_answered, AS_A_WHOLE)
        asks = request.asks(self._owner)
        turns: list[Turn] = []
        num_open = len(asks)

        def done(turn: Turn) -> None:
            nonlocal num_open
            self._end(turn)
            num_open -= 1
            if not num_open:
                self._send(lambda: _binary(turns), holding)
            self._count_end(turn)

        turns += [Turn(ask, done, source=self) for ask in asks]
        for index, turn in enumerate(turns):
            turn.error = request.wrong.get(index)
        self._begin([turn for turn in turns if turn.error is None], holding, len(content))
        for index in request.wrong:
            done(turns[index])

    def _check_length(self, num_bytes: int) -> None:
        if num_bytes > self._max_message_bytes:
            raise TooLarge(f"a message may have at most {self._max_message_bytes} bytes")

    def _begin(self, turns: Sequence[Turn], holding: Holding, num_bytes: int) -> None:
        """Begin the steps of a message of `num_bytes`: at once, unless its answer has to wait for room."""
        for turn in turns:
            self._in_flight[turn] = num_bytes // len(turns)
            self.num_bytes += num_bytes // len(turns)
        if not turns or holding.is_in or self._is_draining:
            self._submit(turns)
        else:
            self._waiting = asyncio.get_running_loop().create_task(holding.wait())
            self._waiting.add_done_callback(partial(self._begin_waited, turns))

    def _begin_waited(self, turns: Sequence[Turn], waiting: "asyncio.Task[None]") -> None:
        """Begin steps whose answer has waited for room. A callback: a task cancelled before it starts runs nothing."""
        self._waiting = None
        error = None if waiting.cancelled() else waiting.exception()
        if not isinstance(error, Exception):  # once cancelled, they are refused, as the service stops, or called off
            self._submit(turns)
            return
        if not isinstance(error, ServiceError):
            logger.error("the room for answers to owner %s could not be waited for", self._owner, exc_info=error)
        for turn in turns:
            if not turn.is_over:
                turn.error = error
                turn.end()

    def _submit(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            if not turn.is_over:
                self._steps.submit(turn)

    def _end(self, turn: Turn) -> None:
        self.num_bytes -= self._in_flight.pop(turn, 0)
        if self._drained is not None and not self._in_flight:
            self._drained.set()

    def _send(self, make: MakeMessage, holding: Holding) -> None:
        """Send the answer to steps: at once unless others are under way, which may be answered in the same turn."""
        self._send_answer(make, holding, not self._in_flight)

    def _count_end(self, turn: Turn) -> None:
        status = 200
        if turn.answer is None:
            status = CLIENT_CLOSED_REQUEST if self._is_gone else refusal(turn).status
        self._count(status, turn.started)

    def _count(self, status: int, started: float) -> None:
        self._tally.add(STREAM.label, status, time.perf_counter() - started)


def _text(turn: Turn, client_id: ClientId) -> Message:
    answer = b'{"id":%b,%b' % (orjson.dumps(client_id), item_json(turn)[1:])
    return {"type": "websocket.send", "text": answer.decode()}


def _binary(turns: Sequence[Turn]) -> Message:
    body, head_length = binary.write(turns)
    return {"type": "websocket.send", "bytes": _HEAD_LENGTH.pack(head_length) + body}


def text_bytes(text: str) -> int:
    """Return the length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def _identity_of(text: str) -> dict[str, ClientId]:
    """Return what identifies an invalid item in its refusal: its id, and its session if it names one."""
    try:
        item = _read(text)
    except (ValueError, RecursionError):
        return _NO_ID
    if not isinstance(item, dict):
        return _NO_ID
    client_id, session_id = item.get("id"), item.get("session_id")
    identity = {"id": client_id if _is_text(client_id) or _is_integer(client_id) else None}
    return {**identity, "session_id": session_id} if _is_text(session_id) else identity


def _read(text: str) -> object:
    """Read JSON as the forms do, but also what has half a character, which only Python's slow parser reads."""
    try:
        return from_json(text)
    except ValueError:
        if _ESCAPED_HALF.search(text) is None:
            raise
        return json.loads(text)


def _is_text(value: object) -> bool:
    """Whether a value is a string of whole characters."""
    return isinstance(value, str) and _HALF_CHARACTER.search(value) is None


def _is_integer(value: object) -> bool:
    """Whether a value is an integer of 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
