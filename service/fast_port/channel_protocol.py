"""WebSockets on the second port: uvicorn's protocol, with a channel that needs no task (`service.api.stream.channel`).

uvicorn puts each message into a queue, stops reading, and wakes the connection's task, which resumes reading. With many
connections that each have a step in flight, that costs as much as the steps. Messages of one frame bypass the state
machine of websockets (`service.fast_port.framing`): the port agrees to no extension, so such a frame is the whole
message.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from starlette.types import Message
from websockets.frames import CloseCode
from websockets.http11 import Request
from websockets.protocol import State

from service.api.stream.channel import offer, withdraw
from service.fast_port import framing
from service.fast_port.coalesced_writes import CoalescingTransport
from service.fast_port.framing import Framing
from service.protocols.websocket import GuardedWebSocketProtocol

FRAMES_AT_ONCE = 64


class ChannelProtocol(GuardedWebSocketProtocol):
    """A connection that is also a channel."""

    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  as `GuardedWebSocketProtocol` has them
        super().__init__(*arguments, **more)
        self._take: Callable[[Message], None] | None = None
        self._is_heard = False  # since the last ping
        self._framing: Framing | None = Framing(self.config.ws_max_size)
        self._cuts: deque[Iterator[tuple[int, bytes]]] = deque()  # what was received and is not processed yet
        self._is_held = False  # reading is paused, because much is not processed yet

    def handle_connect(self, event: Request) -> None:
        """Overrides uvicorn: offer the channel in the scope, because the application takes messages from it."""
        super().handle_connect(event)
        if not self.close_sent:
            offer(cast(Any, self.scope), self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Overrides uvicorn: withdraw the channel, because the scope would hold this, which holds the scope."""
        super().connection_lost(exc)
        if self.handshake_initiated:
            withdraw(cast(Any, self.scope))

    def send_receive_event_to_app(self) -> None:
        """Overrides uvicorn: pass the message to the channel's callback, because the queue costs a task's turn."""
        if self._take is None or self.close_sent:
            super().send_receive_event_to_app()
            return
        content = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        message: Message = {"type": "websocket.receive"}
        if self.curr_msg_data_type == "bytes":
            message["bytes"] = content
        else:
            try:
                message["text"] = content.decode()
            except UnicodeDecodeError:  # uvicorn logs a traceback of it
                self.conn.send_close(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        self.frames = []
        self._take(message)

    async def send(self, message: Any) -> None:  # noqa: ANN401  whatever ASGI sends
        """Overrides uvicorn, which logs a refused handshake as an error: mark the handshake as complete."""
        await super().send(message)
        if self.close_sent:
            self.handshake_complete = True

    def data_received(self, data: bytes) -> None:
        """Overrides uvicorn: cut out messages of one frame, because websockets takes four times as long for them."""
        self._is_heard = True
        if self._framing is not None and (self.conn.state is State.OPEN or self._cuts):
            self._cuts.append(self._framing.cut(data))
            if not self._is_held:
                self._go_on()
            return
        if self._framing is not None and self.handshake_initiated:
            # A client that does not wait for the handshake may be in the middle of a frame, and so may one that is
            # being closed.
            data, self._framing = self._framing.rest() + data, None
        super().data_received(data)

    def _go_on(self) -> None:
        """Process FRAMES_AT_ONCE of the received frames, and the rest in later turns of the event loop."""
        room = FRAMES_AT_ONCE
        while self._cuts and not self.disconnected:
            for opcode, content in self._cuts[0]:
                self._take_frame(opcode, content)
                room -= 1
                if not room:
                    self._hold()
                    return
            self._cuts.popleft()
        self._cuts.clear()
        if self._is_held:
            self._is_held = False
            if not self.read_paused and not self.transport.is_closing():
                self.transport.resume_reading()

    def _take_frame(self, opcode: int, content: bytes) -> None:
        if opcode == framing.OTHER:
            super().data_received(content)
        elif self.conn.state is State.OPEN:
            self.curr_msg_data_type = "text" if opcode == framing.TEXT else "bytes"
            self.frames = [content]
            self.send_receive_event_to_app()

    def _hold(self) -> None:
        if self.transport.is_closing():
            self._cuts.clear()
            return
        if not self._is_held:
            self._is_held = True
            self.transport.pause_reading()
        self.loop.call_soon(self._go_on)

    def send_keepalive_ping(self) -> None:
        """Overrides uvicorn: note that nothing has been heard since, because any byte is as good as a pong."""
        self._is_heard = False
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """Overrides uvicorn: if reading is paused, ping again instead of closing: the pong is behind unread data."""
        if self.read_paused or self._is_heard:
            self.pong_timer = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    @property
    def is_writable(self) -> bool:
        """Whether a message that is sent now goes out without waiting."""
        return self.writable.is_set() and self.conn.state is State.OPEN and not self.transport.is_closing()

    async def drained(self) -> None:
        """Wait until the client has read nearly all that was sent, or is gone."""
        await asyncio.sleep(0)  # it goes out at the end of the event loop's turn
        await self.writable.wait()

    def deliver_to(self, take: Callable[[Message], None]) -> None:
        """Pass every message from now on to `take`."""
        self._take = take

    def release(self, messages: Iterable[Message]) -> None:
        """Pass these messages, and all that follow, to the queue again."""
        self._take = None
        for message in messages:
            self.queue.put_nowait(cast(Any, message))

    def pause(self) -> None:
        """Stop reading."""
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Resume reading."""
        if self.read_paused:
            self.read_paused = False
            if not self._is_held:
                self.transport.resume_reading()

    def send_now(self, message: Message, at_once: bool) -> None:
        """Send a `websocket.send` without waiting: at once, or with others at the end of the event loop's turn."""
        text = message.get("text")
        if text is not None:
            frame = framing.frame(framing.TEXT, text.encode())
        else:
            frame = framing.frame(framing.BINARY, message["bytes"])
        transport = cast(CoalescingTransport, self.transport)
        (transport.write_at_once if at_once else transport.write)(frame)
