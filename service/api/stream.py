"""`WS /stream`: many sessions on one connection, one message a step, answers as they come.

A text frame is one item with the client's "id", which its answer echoes; a binary frame is the binary form of many
steps behind four bytes, little-endian, that tell the length of its JSON, and so is its answer. Steps of one session are
answered in the order in which they came. Refusals are answers; close codes are for the connection. Who sends
faster than it is answered is not read from; who does not read is dropped.
"""

import asyncio
import logging
import struct
import time
from collections import deque

import orjson
from starlette.types import Message, Receive, Scope, Send

from service.api import binary
from service.api.auth import holds, owner_of, subprotocol_of
from service.api.body import parsed
from service.api.channel import channel_of
from service.api.disconnect import CLIENT_CLOSED_REQUEST
from service.api.items import item_json, refusal
from service.api.problem import failure, problem_of
from service.api.steps import ask_of
from service.errors import Malformed, ServiceError, TooLarge
from service.forms.steps import ClientId, StreamItem
from service.metrics import RequestTally
from service.steps.steps import Steps
from service.steps.turn import Turn

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 256
SLOW_READER_SECONDS = 20.0
CLOSE_SECONDS = 2.0
LINGER_SECONDS = 1.0
CLOSE = "websocket.close"
SERVICE_RESTART, INTERNAL_ERROR = 1012, 1011
ENDPOINT = "/stream"
_HEAD_LENGTH = struct.Struct("<I")


class Stream:
    """Serves connections; `stop` closes them once their steps are answered."""

    def __init__(self, steps: Steps, tally: RequestTally, max_message_bytes: int) -> None:
        self._steps = steps
        self._tally = tally
        self._max_message_bytes = max_message_bytes
        self._connections: set[Connection] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": subprotocol_of(scope), "headers": []})
        connection = Connection(self._steps, self._tally, scope, self._max_message_bytes, send)
        self._connections.add(connection)
        try:
            await connection.serve(receive)
        finally:
            self._connections.discard(connection)

    async def drop_slow_readers(self) -> None:
        """Close the connections whose clients have not read an answer for too long."""
        for connection in self._connections:
            if connection.is_stalled():
                connection.drop()

    async def stop(self) -> None:
        """Close every connection, so that its client goes on elsewhere.

        Clients have a moment to close their side: a socket that is closed with something unread in it is reset, and
        what was answered last would be lost on its way. ASGI does not tell when they have.
        """
        closing = [each.close(SERVICE_RESTART, "the service is about to stop") for each in self._connections]
        await asyncio.gather(*closing)
        if closing:
            await asyncio.sleep(LINGER_SECONDS)


class Connection:
    """One client: what it has asked and what it is still to be told.

    Where the server offers a channel, messages are read as they arrive, and answers told as they are there. What cannot
    go this way now, since the client is ahead or does not read, goes the way of ASGI, in the same order.
    """

    def __init__(self, steps: Steps, tally: RequestTally, scope: Scope, max_message_bytes: int, send: Send) -> None:
        self._steps = steps
        self._tally = tally
        self._scope = scope
        self._owner = owner_of(scope)
        self._channel = channel_of(scope)
        self._max_message_bytes = max_message_bytes
        self._send = send
        self._unread: deque[Message] = deque()  # what the channel has brought beyond what may be in flight
        self._is_paused = False
        self._in_flight: dict[Turn, int] = {}  # with the bytes of what was sent for it
        self._answers: deque[Message] = deque()
        self._num_bytes = 0  # in flight and to be told
        self._has_answers = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_closed = False
        self._sending_since: float | None = None
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_dropped = False
        self._is_gone = False

    def is_stalled(self) -> bool:
        """Whether an answer has waited for too long to be read."""
        since = self._sending_since
        return since is not None and time.perf_counter() - since > SLOW_READER_SECONDS

    async def serve(self, receive: Receive) -> None:
        """Read until the client goes."""
        self._reader = asyncio.current_task()
        self._writer = writer = asyncio.get_running_loop().create_task(self._write())
        if self._channel is not None:
            self._channel.deliver_to(self._take)
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                if self._is_closed:  # what is still to be told goes out first, and what is asked now, elsewhere
                    continue
                self._read(message)
                if self._is_full():
                    await self._wait_for_room()
        except asyncio.CancelledError:
            if not self._is_dropped:
                raise
        finally:
            self._is_closed = True
            self._is_gone = True
            writer.cancel()
            for turn in list(self._in_flight):
                self._steps.call_off(turn)
            await asyncio.gather(writer, return_exceptions=True)

    def drop(self) -> None:
        """Leave a client that does not read: what it has asked is called off, and its connection ends."""
        logger.warning("a client of %s does not read its answers; it is dropped", self._owner)
        self._is_closed = self._is_dropped = True
        if self._reader is not None:
            self._reader.cancel()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection from this side, behind all that was answered."""
        if self._is_closed or self._writer is None:
            return
        self._tell_last(code, reason)
        await asyncio.wait([self._writer], timeout=CLOSE_SECONDS)

    def _tell_last(self, code: int, reason: str) -> None:
        self._tell({"type": CLOSE, "code": code, "reason": reason})
        self._is_closed = True
        self._has_room.set()

    def _take(self, message: Message) -> None:
        """Read a message of the channel, or keep it until there is room."""
        self._unread.append(message)
        self._read_on()

    def _read_on(self) -> None:
        """Read what the channel has brought, as far as there is room."""
        channel = self._channel
        if channel is None:
            return
        while self._unread and not self._is_full():
            if self._is_closed:
                self._unread.clear()
            elif holds(self._scope):
                self._read(self._unread.popleft())
            else:
                channel.release(self._unread)
                self._unread.clear()
        self._is_paused = self._is_full()
        if self._is_paused:
            channel.pause()
        else:
            channel.resume()

    def _read(self, message: Message) -> None:
        text, content = message.get("text"), message.get("bytes")
        try:
            if text is not None:
                self._read_text(text)
            elif content is not None:
                self._read_binary(content)
        except Exception:
            logger.exception("a message of %s could not be read", self._owner)
            self._tell_last(INTERNAL_ERROR, str(failure()))

    def _read_text(self, text: str) -> None:
        started = time.perf_counter()
        try:
            self._check_length(text)
            item = parsed(StreamItem, text)
            ask = ask_of(self._owner, item.session_id, item)
        except ServiceError as error:
            self._count(error.status, started)
            client_id = None if isinstance(error, TooLarge) else _told_id(text)
            problem = {"id": client_id, "status": error.status, "problem": problem_of(error)}
            self._tell({"type": "websocket.send", "text": orjson.dumps(problem).decode()})
            return
        self._begin(Turn(ask, lambda turn: self._answer(turn, item.id)), len(text))

    def _answer(self, turn: Turn, client_id: ClientId) -> None:
        self._end(turn)
        told = b'{"id":%b,%b' % (orjson.dumps(client_id), item_json(turn)[1:])
        self._tell({"type": "websocket.send", "text": told.decode()})

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
            self._tell({"type": "websocket.send", "bytes": _HEAD_LENGTH.pack(len(head)) + head})
            return
        asks = request.asks(self._owner)
        turns: list[Turn] = []
        num_open = len(asks)

        def done(turn: Turn) -> None:
            nonlocal num_open
            self._end(turn)
            num_open -= 1
            if not num_open:
                body, head_length = binary.write(turns)
                self._tell({"type": "websocket.send", "bytes": _HEAD_LENGTH.pack(head_length) + body})

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
        self._num_bytes += num_bytes
        self._steps.begin(turn)

    def _end(self, turn: Turn) -> None:
        self._num_bytes -= self._in_flight.pop(turn, 0)
        status = 200
        if turn.answer is None:
            status = CLIENT_CLOSED_REQUEST if self._is_gone else refusal(turn).status
        self._count(status, turn.started)

    def _count(self, status: int, started: float) -> None:
        self._tally.add(ENDPOINT, status, time.perf_counter() - started)

    def _tell(self, message: Message) -> None:
        if self._is_closed:
            return
        is_next = not self._answers and self._sending_since is None and message["type"] != CLOSE
        if is_next and self._channel is not None and self._channel.is_writable:
            self._channel.tell(message)
            if self._is_paused:
                asyncio.get_running_loop().call_soon(self._read_on)
            return
        self._answers.append(message)
        self._num_bytes += _num_bytes(message)
        self._has_answers.set()

    def _is_full(self) -> bool:
        """Whether no more should be read; so many bytes as one message may have are room for many small ones."""
        num_open = len(self._in_flight) + len(self._answers)
        return num_open >= MAX_IN_FLIGHT or self._num_bytes >= self._max_message_bytes

    async def _wait_for_room(self) -> None:
        while self._is_full() and not self._is_closed:
            self._has_room.clear()
            await self._has_room.wait()

    async def _write(self) -> None:
        try:
            while True:
                await self._has_answers.wait()
                self._has_answers.clear()
                while self._answers:
                    message = self._answers.popleft()
                    self._sending_since = time.perf_counter()
                    await self._send(message)
                    self._sending_since = None
                    self._num_bytes -= _num_bytes(message)
                    if message["type"] == CLOSE:
                        return
                    self._has_room.set()
                    self._read_on()
        finally:  # the client may be gone, which whoever waits for room has to learn by reading
            self._is_closed = True
            self._has_room.set()


def _told_id(text: str) -> ClientId:
    """The id of a message that is no item, so that its client learns which one was refused."""
    try:
        item = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    told = item.get("id") if isinstance(item, dict) else None
    is_id = isinstance(told, str) or (isinstance(told, int) and not isinstance(told, bool))
    return told if is_id else None


def _num_bytes(message: Message) -> int:
    return len(message.get("text") or message.get("bytes") or b"")
