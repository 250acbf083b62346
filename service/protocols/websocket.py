"""WebSockets on both ports: uvicorn's protocol, with limits on what messages may cost, and refusals as problems."""

from asyncio.transports import BaseTransport
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from starlette.responses import Response
from uvicorn.config import WS_PROTOCOLS, Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from service.api.problem import plain_problem, problem_response
from service.errors import UpgradeNeeded
from service.protocols.connections import WEBSOCKET, connections
from service.protocols.http import OnRefused, last_answer


def use_guarded_websocket(refused: OnRefused, max_message_bytes: int) -> None:
    """Make this protocol uvicorn's default, for the server that BentoML makes for its port."""
    WS_PROTOCOLS["auto"] = cast(Any, partial(GuardedWebSocketProtocol, refused, max_message_bytes))


class GuardedWebSocketProtocol(WebSocketsSansIOProtocol):
    """A connection whose messages take no more memory than their bytes, whatever its client sends.

    Nothing is compressed: a step is a hundred bytes, and eight kilobytes could be a message of eight megabytes.

    Args:
        refused: Called with the status of each refused handshake that the application does not see.
        max_message_bytes: Length of the largest message, in bytes. One of more than twice that ends the connection.
    """

    _pong = b""  # to be sent once the client reads

    def __init__(
        self,
        refused: OnRefused,
        max_message_bytes: int,
        config: Config,
        *arguments: Any,  # noqa: ANN401  whatever uvicorn's has
        **more: Any,  # noqa: ANN401
    ) -> None:
        config.ws_max_size = 2 * max_message_bytes
        config.ws_per_message_deflate = False
        super().__init__(config, *arguments, **more)
        self._refused = refused

    def connection_made(self, transport: BaseTransport) -> None:
        """Overrides uvicorn: count the connection."""
        super().connection_made(transport)
        connections.begin(WEBSOCKET)

    def connection_lost(self, exc: Exception | None) -> None:
        """Overrides uvicorn: count it no longer."""
        super().connection_lost(exc)
        connections.end(WEBSOCKET, exc)

    def data_received(self, data: bytes) -> None:
        """Overrides uvicorn: answer a head that websockets does not read, because it leaves that to websockets, which
        answers as plain text, or nothing before its version 17.
        """
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self.close_sent:
            self._refuse_handshake()

    def handle_connect(self, event: Request) -> None:
        """Overrides uvicorn: answer a handshake that websockets refuses, because that answers as plain text."""
        response = self.conn.accept(event)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            super().handle_connect(event)
            return
        self.conn.send_response(response)  # what follows is not read
        self._refuse_handshake()

    def _refuse_handshake(self) -> None:
        answer = b"".join(self.conn.data_to_send())
        status = int(answer.split(maxsplit=2)[1]) if answer else HTTPStatus.BAD_REQUEST
        self._refused(status)
        self.handshake_complete = self.close_sent = True
        self.transport.write(last_answer(_refusal(status), self.default_headers))
        self.transport.close()

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


def _refusal(status: int) -> Response:
    if status == UpgradeNeeded.status:
        return problem_response(UpgradeNeeded("a WebSocket needs `Connection: Upgrade` and `Upgrade: websocket` alone"))
    return plain_problem(status)
