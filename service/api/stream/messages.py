"""The messages of a stream: steps to take or refusals, and their answers.

A text message is one item with the client's "id", which its answer echoes; a binary one is the binary form of many
steps behind four bytes, little-endian, that tell the length of its JSON, and so is its answer. Knows no connection.
"""

import struct
import time
from collections.abc import Callable

import orjson
from starlette.types import Message

from service.api.body import parsed
from service.api.client_watch import CLIENT_CLOSED_REQUEST
from service.api.problem import problem_of
from service.api.steps import binary
from service.api.steps.items import item_json, refusal
from service.api.steps.steps import ask_of
from service.errors import Malformed, ServiceError, TooLarge
from service.forms.steps import ClientId, StreamItem
from service.metrics import RequestTally
from service.steps.answer_room import AS_A_MESSAGE, AS_A_WHOLE, Holding
from service.steps.steps import Steps
from service.steps.turn import Turn

Tell = Callable[[Message, Callable[[], None]], None]

ENDPOINT = "/stream"
_KNOWN_OF_NONE: dict[str, ClientId] = {"id": None}
_HEAD_LENGTH = struct.Struct("<I")


class Messages:
    """The messages of one client.

    Args:
        owner: Of the connection.
        steps: Takes the steps.
        tally: Counts each as a request.
        max_message_bytes: A longer one is refused.
        tell: Sends an answer, and calls back once it was sent, or will not be.

    Attributes:
        num_bytes: Of what was sent for the steps that are under way.
    """

    def __init__(self, owner: str, steps: Steps, tally: RequestTally, max_message_bytes: int, tell: Tell) -> None:
        self._owner = owner
        self._steps = steps
        self._tally = tally
        self._max_message_bytes = max_message_bytes
        self._tell = tell
        self._in_flight: dict[Turn, int] = {}  # with the bytes of what was sent for it
        self._is_gone = False
        self.num_bytes = 0

    def __len__(self) -> int:
        """Number of steps under way."""
        return len(self._in_flight)

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
        for turn in list(self._in_flight):
            self._steps.call_off(turn)

    def _read_text(self, text: str) -> None:
        started = time.perf_counter()
        try:
            self._check_length(text)
            item = parsed(StreamItem, text)
            holding = Holding(AS_A_MESSAGE)
            ask = ask_of(self._owner, item.session_id, item, holding)
        except ServiceError as error:
            self._count(error.status, started)
            known = _KNOWN_OF_NONE if isinstance(error, TooLarge) else _known_of(text)
            problem = {**known, "status": error.status, "problem": problem_of(error)}
            self._tell({"type": "websocket.send", "text": orjson.dumps(problem).decode()}, _nothing)
            return
        self._begin(Turn(ask, lambda turn: self._answer(turn, item.id, holding)), len(text))

    def _answer(self, turn: Turn, client_id: ClientId, holding: Holding) -> None:
        self._end(turn)
        answer = b'{"id":%b,%b' % (orjson.dumps(client_id), item_json(turn)[1:])
        self._tell({"type": "websocket.send", "text": answer.decode()}, holding.leave)

    def _read_binary(self, content: bytes) -> None:
        started = time.perf_counter()
        try:
            self._check_length(content)
            if len(content) < _HEAD_LENGTH.size:
                raise Malformed(f"a binary message has at least {_HEAD_LENGTH.size} bytes")
            (length,) = _HEAD_LENGTH.unpack_from(content)
            request = binary.read(content[_HEAD_LENGTH.size :], b"%d" % length)
        except ServiceError as error:
            self._count(error.status, started)
            head = orjson.dumps({"status": error.status, "problem": problem_of(error)})
            self._tell({"type": "websocket.send", "bytes": _HEAD_LENGTH.pack(len(head)) + head}, _nothing)
            return
        holding = Holding(AS_A_WHOLE, request.num_answered)
        asks = request.asks(self._owner, holding)
        turns: list[Turn] = []
        num_open = len(asks)

        def done(turn: Turn) -> None:
            nonlocal num_open
            self._end(turn)
            num_open -= 1
            if not num_open:
                body, head_length = binary.write(turns)
                message = {"type": "websocket.send", "bytes": _HEAD_LENGTH.pack(head_length) + body}
                self._tell(message, holding.leave)

        turns += [Turn(ask, done) for ask in asks]
        for index, turn in enumerate(turns):
            turn.error = request.wrong.get(index)
            if turn.error is None:
                self._begin(turn, len(content) // len(turns))
        for index in request.wrong:
            done(turns[index])

    def _check_length(self, content: str | bytes) -> None:
        if len(content) > self._max_message_bytes:
            raise TooLarge(f"a message may have at most {self._max_message_bytes} bytes")

    def _begin(self, turn: Turn, num_bytes: int) -> None:
        self._in_flight[turn] = num_bytes
        self.num_bytes += num_bytes
        self._steps.submit(turn)

    def _end(self, turn: Turn) -> None:
        self.num_bytes -= self._in_flight.pop(turn, 0)
        status = 200
        if turn.answer is None:
            status = CLIENT_CLOSED_REQUEST if self._is_gone else refusal(turn).status
        self._count(status, turn.started)

    def _count(self, status: int, started: float) -> None:
        self._tally.add(ENDPOINT, status, time.perf_counter() - started)


def _nothing() -> None:
    """Nothing is held for a refusal."""


def _known_of(text: str) -> dict[str, ClientId]:
    """What is known of a message that is no valid item, for its refusal: its id, and the session if one is named."""
    try:
        item = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _KNOWN_OF_NONE
    if not isinstance(item, dict):
        return _KNOWN_OF_NONE
    client_id, session_id = item.get("id"), item.get("session_id")
    is_id = isinstance(client_id, str) or (isinstance(client_id, int) and not isinstance(client_id, bool))
    known = {"id": client_id if is_id else None}
    return {**known, "session_id": session_id} if isinstance(session_id, str) else known
