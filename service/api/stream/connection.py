"""One client of a stream: its messages are read as long as there is room, and answers are sent as they are ready.

Reading pauses while a client sends faster than it is answered. A client that does not read is dropped.
"""

import asyncio
import logging
import time
from collections import deque
from typing import Any, NamedTuple

from starlette.types import Message, Receive, Scope, Send

from service.api.auth import KEY_REMOVED, is_key_valid, owner_of
from service.api.body_reader import LARGE_BYTES as LARGE_BODY_BYTES
from service.api.body_reader import BodyReader
from service.api.client_watch import SLOW_BYTES_PER_SECOND, SLOW_READER_SECONDS
from service.api.problem import failure
from service.api.stream.channel import channel_of
from service.api.stream.messages import MakeMessage, Messages, text_bytes
from service.metrics import RequestTally
from service.steps.answer_room import AnswerRoom, Holding
from service.steps.steps import Steps

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 256
LARGE_ANSWER_BYTES = 2**18  # an answer this large counts as sent only once its client has read it
CLOSE_SECONDS = 2.0
CLOSE = "websocket.close"
INTERNAL_ERROR = 1011


class LargeMessage(NamedTuple):
    """A large answer that is still to be made, and its room."""

    make: MakeMessage
    holding: Holding


class Connection:
    """One client, with its steps in flight and its unsent answers.

    If the server offers a channel, messages are read as they arrive, and answers are written at once. When the client
    is too far ahead or does not read, they go through ASGI instead, in the same order.
    """

    def __init__(
        self,
        steps: Steps,
        answer_room: AnswerRoom,
        tally: RequestTally,
        scope: Scope,
        bodies: BodyReader,
        send: Send,
    ) -> None:
        self._scope = scope
        self._owner = owner_of(scope)
        self._messages = Messages(self._owner, steps, answer_room, tally, bodies.max_bytes, self._send_answer)
        self._channel = channel_of(scope)
        self._bodies = bodies
        self._send = send
        self._unread: deque[Message] = deque()  # messages of the channel that exceed what may be in flight
        self._is_released = False  # messages no longer come from the channel, whose server pauses for itself
        self._is_paused = False
        self._answers: deque[Message | LargeMessage] = deque()
        self._is_writing = False
        self._num_bytes = 0  # of unsent answers
        self._has_answers = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_closed = False
        self._sending_since: float | None = None
        self._num_sending_bytes = 0
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_dropped = False

    def is_stalled(self) -> bool:
        """Whether the client has taken too long to read an answer."""
        since = self._sending_since
        patience = SLOW_READER_SECONDS + self._num_sending_bytes / SLOW_BYTES_PER_SECOND
        return since is not None and time.perf_counter() - since > patience

    async def serve(self, receive: Receive) -> None:
        """Serve until the client disconnects."""
        self._reader = asyncio.current_task()
        self._writer = writer = asyncio.get_running_loop().create_task(self._write())
        if self._channel is not None:
            self._channel.deliver_to(self._take)
        reading: asyncio.Future[Message] | None = None
        try:
            while True:
                message = await (reading or receive())
                reading = None
                if message["type"] == "websocket.disconnect":
                    return
                if _is_large(message):
                    await self._bodies.wait_to_parse()
                if self._is_closed:  # unsent answers go out first; new messages are dropped
                    continue
                if not is_key_valid(self._scope):  # the message may have waited since it was received
                    await self._send(KEY_REMOVED)
                    return
                self._read(message)
                if self._is_full():
                    reading = await self._wait_for_room(receive)
        except asyncio.CancelledError:
            if not self._is_dropped:
                raise
        finally:
            self._is_closed = True
            writer.cancel()
            self._messages.call_off()
            await asyncio.gather(writer, return_exceptions=True)
            for answer in self._answers:
                if isinstance(answer, LargeMessage):
                    answer.holding.leave()

    def drop(self) -> None:
        """Drop a client that does not read: call off its steps and end its connection."""
        logger.warning("a client of owner %s does not read its answers on /stream; closing its connection", self._owner)
        self._is_closed = self._is_dropped = True
        if self._reader is not None:
            self._reader.cancel()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection once all answers so far have been sent."""
        if self._is_closed or self._writer is None:
            return
        self._send_or_queue({"type": CLOSE, "code": code, "reason": reason})
        await asyncio.wait([self._writer], timeout=CLOSE_SECONDS)

    def _take(self, message: Message) -> None:
        """Read a message from the channel, or keep it until there is room."""
        self._unread.append(message)
        self._read_on()

    def _read_on(self) -> None:
        """Read messages from the channel as long as there is room."""
        channel = self._channel
        if channel is None or self._is_released:
            return
        while self._unread and not self._is_full():
            if self._is_closed:
                self._unread.clear()
            elif is_key_valid(self._scope) and not _is_large(self._unread[0]):
                self._read(self._unread.popleft())
            else:
                self._is_released, self._is_paused = True, False
                channel.release(self._unread)
                self._unread.clear()
                return
        # While a message waits, one more is read, or the end of its client would go unnoticed.
        self._is_paused = self._is_full() and (bool(self._unread) or not self._messages.is_waiting)
        if self._is_paused:
            channel.pause()
        else:
            channel.resume()

    def _read(self, message: Message) -> None:
        try:
            self._messages.read(message)
        except Exception:
            logger.exception("a message on /stream from owner %s could not be read", self._owner)
            self._send_or_queue(_failed())

    def _send_answer(self, make: MakeMessage, holding: Holding | None) -> None:
        if self._is_closed:
            if holding is not None:
                holding.leave()
        elif holding is not None and holding.num_bytes:
            self._answers.append(LargeMessage(make, holding))
            self._has_answers.set()
        else:
            self._send_or_queue(self._made(make))

    def _made(self, make: MakeMessage) -> Message:
        """Make an answer, or the close that takes its place if that fails."""
        try:
            return make()
        except Exception:
            logger.exception("an answer on /stream to owner %s could not be created", self._owner)
            return _failed()

    def _send_or_queue(self, message: Message) -> None:
        """Send a message at once if it is small and the client reads, or else later. Nothing is read after a close."""
        num_bytes, is_close = _num_bytes(message), message["type"] == CLOSE
        is_next = not self._answers and not self._is_writing and not is_close
        if is_next and num_bytes < LARGE_ANSWER_BYTES and self._channel is not None and self._channel.is_writable:
            self._channel.send_now(message)
            self._has_room.set()
            if self._is_paused:
                asyncio.get_running_loop().call_soon(self._read_on)
            return
        self._answers.append(message)
        self._num_bytes += num_bytes
        self._has_answers.set()
        if is_close:
            self._is_closed = True
            self._has_room.set()

    def _is_full(self) -> bool:
        """Whether to read no more: too much is in flight, or a message waits, which later ones must not overtake."""
        num_open = len(self._messages) + len(self._answers)
        num_bytes = self._messages.num_bytes + self._num_bytes
        is_full = num_open >= MAX_IN_FLIGHT or num_bytes >= self._bodies.max_bytes
        return is_full or self._messages.is_waiting

    async def _wait_for_room(self, receive: Receive) -> asyncio.Future[Message] | None:
        """Wait until more should be read.

        Returns:
            The next message if it is read already: while one waits, or the end of its client would go unnoticed.
        """
        ahead: asyncio.Future[Message] | None = None
        try:
            while self._is_full() and not self._is_closed and not _is_end(ahead):
                self._has_room.clear()
                if self._messages.is_waiting:
                    ahead = ahead or asyncio.ensure_future(receive())
                if ahead is None or ahead.done():
                    await self._has_room.wait()
                else:
                    await _wait_for_either(ahead, asyncio.ensure_future(self._has_room.wait()))
        except asyncio.CancelledError:
            if ahead is not None:
                ahead.cancel()
            raise
        return ahead

    async def _write(self) -> None:
        try:
            while True:
                await self._has_answers.wait()
                self._has_answers.clear()
                while self._answers:
                    answer = self._answers.popleft()
                    self._is_writing = True
                    if isinstance(answer, LargeMessage):
                        is_last = await self._write_large(answer)
                    else:
                        is_last = await self._write_one(answer)
                    self._is_writing = False
                    if is_last:
                        return
                    self._has_room.set()
                    self._read_on()
        finally:  # the client may be gone: a reader that waits for room has to go on reading to notice
            self._is_closed = True
            self._has_room.set()

    async def _write_large(self, large: LargeMessage) -> bool:
        """Make a large answer in a thread, since that takes up to a second, and send it as `_write_one` does."""
        with large.holding:
            message = await asyncio.to_thread(self._made, large.make)
            self._num_bytes += _num_bytes(message)
            return await self._write_one(message)

    async def _write_one(self, message: Message) -> bool:
        """Send a message. Return whether it is the last."""
        self._num_sending_bytes = num_bytes = _num_bytes(message)
        self._sending_since = time.perf_counter()
        await self._send(message)
        if num_bytes >= LARGE_ANSWER_BYTES and self._channel is not None:
            await self._channel.drained()
        self._sending_since = None
        self._num_bytes -= num_bytes
        return bool(message["type"] == CLOSE)


async def _wait_for_either(ahead: asyncio.Future[Message], room: asyncio.Future[Any]) -> None:
    """Wait for either; the latter is waited for no longer then."""
    try:
        await asyncio.wait((ahead, room), return_when=asyncio.FIRST_COMPLETED)
    finally:
        room.cancel()


def _failed() -> Message:
    return {"type": CLOSE, "code": INTERNAL_ERROR, "reason": str(failure())}


def _is_end(reading: asyncio.Future[Message] | None) -> bool:
    """Whether the client has gone, as far as is read."""
    return reading is not None and reading.done() and reading.result()["type"] == "websocket.disconnect"


def _is_large(message: Message) -> bool:
    return len(message.get("text") or message.get("bytes") or b"") > LARGE_BODY_BYTES


def _num_bytes(message: Message) -> int:
    text = message.get("text")
    return len(message.get("bytes") or b"") if text is None else text_bytes(text)
