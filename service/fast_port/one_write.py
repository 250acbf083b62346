"""What a connection sends in one turn of the event loop goes out in one write.

uvicorn writes the head of a response and its body one by one, and every frame of a WebSocket: each is a system call,
and wakes a client that may still have to wait for the rest.
"""

import asyncio
from typing import Any, cast

from service.fast_port.guarded import GuardedProtocol


class OneWriteTransport:
    """A transport that writes at the end of the event loop's turn; all else is the wrapped one's."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []
        self._call_soon = asyncio.get_running_loop().call_soon

    def write(self, data: bytes) -> None:
        """Put down what is to be sent."""
        if not self._parts:
            self._call_soon(self.flush)
        self._parts.append(data)

    def write_at_once(self, data: bytes) -> None:
        """Send a whole answer, which nothing will be added to."""
        if self._parts:
            self.write(data)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Send it, unless the client has gone meanwhile: uvloop refuses to write where nobody is any more."""
        content = b"".join(self._parts)
        self._parts.clear()
        if content and not self._transport.is_closing():
            self._transport.write(content)

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def write_eof(self) -> None:
        """Close this side once all is sent."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close once all is sent."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever a transport has
        return getattr(self._transport, name)


class OneWriteProtocol(GuardedProtocol):
    """The guarded protocol on such a transport, which a WebSocket takes over too."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(cast(asyncio.Transport, OneWriteTransport(transport)))
