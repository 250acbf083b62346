"""What messages may cost, on both ports: uvicorn's protocol for WebSockets, with limits."""

from functools import partial
from typing import Any, cast

from uvicorn.config import WS_PROTOCOLS, Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame


def limit_messages(max_message_bytes: int) -> None:
    """Make `LimitedProtocol` uvicorn's default, for the server that BentoML makes for its port."""
    WS_PROTOCOLS["auto"] = cast(Any, partial(LimitedProtocol, max_message_bytes))


class PatientProtocol(WebSocketsSansIOProtocol):
    """A connection whose client may send what it likes: fragments and pings take no more memory than their bytes."""

    _pong = b""  # to be sent once the client reads

    def handle_cont(self, event: Frame) -> None:
        """Overrides uvicorn: join fragments at once, because each of many would take more memory than its bytes."""
        joined: Any = self.frames[0] if self.frames else b""
        if not isinstance(joined, bytearray):
            joined = bytearray(joined)
        joined += event.data
        self.frames = [bytes(joined) if event.fin else joined]
        if event.fin:
            self.send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Overrides uvicorn: keep only the latest pong for a client that does not read, because all would pile up."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self._pong = b"".join(self.conn.data_to_send())

    def resume_writing(self) -> None:
        """Overrides uvicorn: send the pong that was kept, because the client reads again."""
        super().resume_writing()
        if self._pong and not self.transport.is_closing():
            self.transport.write(self._pong)
        self._pong = b""


class LimitedProtocol(PatientProtocol):
    """A connection without compression, in which eight kilobytes could be a message of eight megabytes.

    Args:
        max_message_bytes: Length of the largest message. One of more than twice that ends the connection.
    """

    def __init__(self, max_message_bytes: int, config: Config, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  whatever uvicorn's has
        config.ws_max_size = 2 * max_message_bytes
        config.ws_per_message_deflate = False
        super().__init__(config, *arguments, **more)
