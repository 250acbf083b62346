"""Writes of one turn of the event loop, joined into one.

uvicorn writes the head and the body of a response separately, and each frame of a WebSocket. Each write is a system
call, and wakes a client that may still have to wait for the rest.
"""

import asyncio
from typing import Any, cast

from service.protocols.http import GuardedHttpProtocol


class CoalescingTransport:
    """Wraps a transport and writes at the end of the event loop's turn. Everything else is passed on."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []
        self._call_soon = asyncio.get_running_loop().call_soon

    def write(self, data: bytes) -> None:
        """Send at the end of the event loop's turn."""
        if not self._parts:
            self._call_soon(self.flush)
        self._parts.append(data)

    def write_at_once(self, data: bytes) -> None:
        """Send now, with all that is still to be sent."""
        if self._parts:
            self._parts.append(data)
            self.flush()
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Send what was written, unless the client has gone: uvloop refuses to write to a closing transport."""
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


class CoalescingProtocol(GuardedHttpProtocol):
    """The guarded protocol on a coalescing transport. A WebSocket takes the transport over."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(cast(asyncio.Transport, CoalescingTransport(transport)))
