"""The answers to one client of a stream: sent at once while it reads, otherwise kept in order and sent as it does."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from starlette.types import Message, Send

from service.api.client_watch import SLOW_BYTES_PER_SECOND, SLOW_READER_SECONDS
from service.api.refusals import failure
from service.api.stream.channel import Channel
from service.api.stream.messages import MakeMessage, text_bytes
from service.steps.answer_room import Holding

logger = logging.getLogger(__name__)

LARGE_ANSWER_BYTES = 2**18  # an answer this large counts as sent only once its client has read it
CLOSE = "websocket.close"
INTERNAL_ERROR = 1011


class UnmadeAnswer(NamedTuple):
    """A large answer that is still to be made, and its room."""

    make: MakeMessage
    holding: Holding


class Outbox:
    """The unsent answers to one client.

    Args:
        owner: Owner of the connection, for the log.
        send: ASGI's.
        channel: Takes small answers at once while the client reads them, if the server offers one.
        on_room: Called whenever there is more room for answers, and when no more are taken.

    Attributes:
        num_bytes: Size of the unsent answers, without those that are still to be made.
        is_closed: Whether no more answers are taken: a close is among them, or the client is gone.
    """

    def __init__(self, owner: str, send: Send, channel: Channel | None, on_room: Callable[[], None]) -> None:
        self._owner = owner
        self._send = send
        self._channel = channel
        self._on_room = on_room
        self._answers: deque[Message | UnmadeAnswer] = deque()
        self._has_answers = asyncio.Event()
        self._is_sending = False
        self._sending_since: float | None = None
        self._num_sending_bytes = 0
        self.num_bytes = 0
        self.is_closed = False

    def __len__(self) -> int:
        """Number of answers that wait for others."""
        return len(self._answers)

    @property
    def is_stalled(self) -> bool:
        """Whether the client has taken too long to read an answer."""
        since = self._sending_since
        patience = SLOW_READER_SECONDS + self._num_sending_bytes / SLOW_BYTES_PER_SECOND
        return since is not None and time.perf_counter() - since > patience

    def put(self, make: MakeMessage, holding: Holding | None, at_once: bool) -> None:
        """Make an answer and send it, at once or with others. A large one, which has a holding, waits its turn."""
        if self.is_closed:
            if holding is not None:
                holding.leave()
        elif holding is not None and holding.num_bytes:
            self._answers.append(UnmadeAnswer(make, holding))
            self._has_answers.set()
        else:
            self._put(self._made(make), at_once)

    def put_close(self, code: int, reason: str) -> None:
        """Close the connection once all answers so far have been sent. Later ones are dropped."""
        self._put({"type": CLOSE, "code": code, "reason": reason})

    def put_failure(self) -> None:
        """Close the connection likewise, after an error of the service."""
        self._put(_failed())

    async def run(self) -> None:
        """Send answers until a close has been sent, or the client is gone."""
        try:
            while True:
                await self._has_answers.wait()
                self._has_answers.clear()
                while self._answers:
                    answer = self._answers.popleft()
                    self._is_sending = True
                    if isinstance(answer, UnmadeAnswer):
                        is_last = await self._send_large(answer)
                    else:
                        is_last = await self._send_one(answer)
                    self._is_sending = False
                    if is_last:
                        return
                    self._on_room()
        finally:  # the client may be gone: a reader that waits for room has to go on reading to notice
            self.is_closed = True
            self._on_room()

    def discard(self) -> None:
        """Leave the room of large answers that will not be sent, and forget who would like to know."""
        for answer in self._answers:
            if isinstance(answer, UnmadeAnswer):
                answer.holding.leave()
        self._on_room = _nobody_waits

    def _made(self, make: MakeMessage) -> Message:
        """Make an answer, or the close that takes its place if that fails."""
        try:
            return make()
        except Exception:
            logger.exception("an answer on /stream to owner %s could not be created", self._owner)
            return _failed()

    def _put(self, message: Message, at_once: bool = False) -> None:
        """Send a message at once if it is small and the client reads, or else later. A close is always sent later."""
        num_bytes, is_close = _num_bytes(message), message["type"] == CLOSE
        is_next = not self._answers and not self._is_sending and not is_close
        if is_next and num_bytes < LARGE_ANSWER_BYTES and self._channel is not None and self._channel.is_writable:
            self._channel.send_now(message, at_once)
            self._on_room()
            return
        self._answers.append(message)
        self.num_bytes += num_bytes
        self._has_answers.set()
        if is_close:
            self.is_closed = True
            self._on_room()

    async def _send_large(self, large: UnmadeAnswer) -> bool:
        """Make a large answer in a thread, since that takes up to a second, and send it as `_send_one` does."""
        with large.holding:
            message = await asyncio.to_thread(self._made, large.make)
            self.num_bytes += _num_bytes(message)
            return await self._send_one(message)

    async def _send_one(self, message: Message) -> bool:
        """Send a message. Return whether it is the last."""
        self._num_sending_bytes = num_bytes = _num_bytes(message)
        self._sending_since = time.perf_counter()
        await self._send(message)
        if num_bytes >= LARGE_ANSWER_BYTES and self._channel is not None:
            await self._channel.drained()
        self._sending_since = None
        self.num_bytes -= num_bytes
        return bool(message["type"] == CLOSE)


def _nobody_waits() -> None:
    """Do nothing about room for answers to a client that is gone."""


def _failed() -> Message:
    return {"type": CLOSE, "code": INTERNAL_ERROR, "reason": str(failure())}


def _num_bytes(message: Message) -> int:
    text = message.get("text")
    return len(message.get("bytes") or b"") if text is None else text_bytes(text)
