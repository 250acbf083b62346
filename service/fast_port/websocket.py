"""WebSockets on the second port: uvicorn's protocol, which offers its messages without a task (`service.api.channel`).

uvicorn puts each message into a queue, stops reading, and wakes the connection's task, which reads on. With many
connections that each have a step in flight, that costs as much as the steps. Messages of one frame go past the state
machine of websockets (`service.fast_port.framing`): the port agrees to no extension, so such a frame is its message.
"""

from collections.abc import Callable, Iterable
from typing import Any, cast

from starlette.types import Message
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State

from service.api.channel import offer
from service.fast_port import framing
from service.fast_port.framing import Framing


class ChannelProtocol(WebSocketsSansIOProtocol):
    """A connection that is a channel, too."""

    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  whatever uvicorn's own has
        super().__init__(*arguments, **more)
        self._take: Callable[[Message], None] | None = None
        self._is_heard = False  # since the last ping
        self._framing: Framing | None = Framing(self.config.ws_max_size)

    def handle_connect(self, event: Request) -> None:
        """uvicorn's, with the channel in the scope."""
        super().handle_connect(event)
        if not self.close_sent:
            offer(cast(Any, self.scope), self)

    def handle_cont(self, event: Frame) -> None:
        """uvicorn's, but for what is empty: no limit of bytes would end such a message, which memory keeps."""
        if event.data or event.fin:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """uvicorn's, or a message to who takes it."""
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
        """uvicorn's, which does not see that a handshake that was refused is complete, and logs an error."""
        await super().send(message)
        if self.close_sent:
            self.handshake_complete = True

    def data_received(self, data: bytes) -> None:
        """uvicorn's, for what is no message of one frame."""
        self._is_heard = True
        if self.conn.state is not State.OPEN:
            if self.handshake_initiated:  # a client that does not wait for its answer may be in the middle of a frame
                self._framing = None
            super().data_received(data)
        elif self._framing is None:
            super().data_received(data)
        else:
            self._receive(self._framing, data)

    def _receive(self, frames: Framing, data: bytes) -> None:
        for opcode, content in frames.cut(data):
            if opcode == framing.OTHER:
                super().data_received(content)
            elif self.conn.state is State.OPEN:
                self.curr_msg_data_type = "text" if opcode == framing.TEXT else "bytes"
                self.frames = [content]
                self.send_receive_event_to_app()

    def send_keepalive_ping(self) -> None:
        """uvicorn's."""
        self._is_heard = False
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """uvicorn's, but for who is ahead: its pong waits behind all that it has sent and that is not read yet."""
        if self.read_paused or self._is_heard:
            self.pong_timer = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    @property
    def is_writable(self) -> bool:
        """Whether a message that is told now goes out without waiting."""
        return self.writable.is_set() and self.conn.state is State.OPEN and not self.transport.is_closing()

    def deliver_to(self, take: Callable[[Message], None]) -> None:
        """Hand every message that comes from now on to `take`."""
        self._take = take

    def release(self, messages: Iterable[Message]) -> None:
        """Hand these messages, and all that come from now on, to the queue again."""
        self._take = None
        for message in messages:
            self.queue.put_nowait(cast(Any, message))

    def pause(self) -> None:
        """Read no more."""
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def tell(self, message: Message) -> None:
        """Send a `websocket.send`."""
        text = message.get("text")
        if text is not None:
            self.transport.write(framing.frame(framing.TEXT, text.encode()))
        else:
            self.transport.write(framing.frame(framing.BINARY, message["bytes"]))
