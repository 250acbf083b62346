"""One client of a stream: its messages are read as long as there is room for them and their answers.

Reading pauses while a client sends faster than it is answered. A client that does not read is dropped.
"""

import asyncio
import logging
from collections import deque
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from service.api.auth import KEY_REMOVED, is_key_valid, owner_of
from service.api.body_reader import LARGE_BYTES as LARGE_BODY_BYTES
from service.api.body_reader import BodyReader
from service.api.stream.channel import channel_of
from service.api.stream.messages import Messages
from service.api.stream.outbox import Outbox
from service.metrics import RequestTally
from service.steps.answer_room import AnswerRoom
from service.steps.steps import Steps

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 256
CLOSE_SECONDS = 2.0


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
        self._channel = channel_of(scope)
        self._bodies = bodies
        self._send = send
        self._outbox = Outbox(self._owner, send, self._channel, self._go_on)
        self._messages = Messages(self._owner, steps, answer_room, tally, bodies.max_bytes, self._outbox.put)
        self._unread: deque[Message] = deque()  # messages of the channel that exceed what may be in flight
        self._is_released = False  # messages no longer come from the channel, whose server pauses for itself
        self._is_paused = False
        self._has_room = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_dropped = False

    @property
    def is_stalled(self) -> bool:
        """Whether the client has taken too long to read an answer."""
        return self._outbox.is_stalled

    async def serve(self, receive: Receive) -> None:
        """Serve until the client disconnects."""
        self._reader = asyncio.current_task()
        self._writer = writer = asyncio.get_running_loop().create_task(self._outbox.run())
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
                if self._outbox.is_closed:  # unsent answers go out first; new messages are dropped
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
            self._outbox.is_closed = True
            writer.cancel()
            self._messages.call_off()
            await asyncio.gather(writer, return_exceptions=True)
            self._outbox.discard()
            if self._channel is not None:
                self._channel.release(())

    def drop(self) -> None:
        """Drop a client that does not read: call off its steps and end its connection."""
        logger.warning("a client of owner %s does not read its answers on /stream; closing its connection", self._owner)
        self._outbox.is_closed = self._is_dropped = True
        if self._reader is not None:
            self._reader.cancel()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection once its steps are answered and the answers are sent."""
        await self._messages.drain()
        if self._outbox.is_closed or self._writer is None:
            return
        self._outbox.put_close(code, reason)
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
            if self._outbox.is_closed:
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
            self._outbox.put_failure()

    def _go_on(self) -> None:
        """Read on, now that there may be room. Not at once: this is called in the midst of answers."""
        self._has_room.set()
        if self._is_paused:
            asyncio.get_running_loop().call_soon(self._read_on)

    def _is_full(self) -> bool:
        """Whether to read no more: too much is in flight, or a message waits, which later ones must not overtake."""
        num_open = len(self._messages) + len(self._outbox)
        num_bytes = self._messages.num_bytes + self._outbox.num_bytes
        is_full = num_open >= MAX_IN_FLIGHT or num_bytes >= self._bodies.max_bytes
        return is_full or self._messages.is_waiting

    async def _wait_for_room(self, receive: Receive) -> asyncio.Future[Message] | None:
        """Wait until more should be read.

        Returns:
            The next message if it is read already: while one waits, or the end of its client would go unnoticed.
        """
        ahead: asyncio.Future[Message] | None = None
        try:
            while self._is_full() and not self._outbox.is_closed and not _is_end(ahead):
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


async def _wait_for_either(ahead: asyncio.Future[Message], room: asyncio.Future[Any]) -> None:
    """Wait for either; the latter is waited for no longer then."""
    try:
        await asyncio.wait((ahead, room), return_when=asyncio.FIRST_COMPLETED)
    finally:
        room.cancel()


def _is_end(reading: asyncio.Future[Message] | None) -> bool:
    """Whether the client has gone, as far as is read."""
    return reading is not None and reading.done() and reading.result()["type"] == "websocket.disconnect"


def _is_large(message: Message) -> bool:
    return len(message.get("text") or message.get("bytes") or b"") > LARGE_BODY_BYTES
