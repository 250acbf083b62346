"""A client that reads nothing."""

import json
import socket
import struct
import time


class SilentClient:
    """A connection that asks as fast as it can and reads nothing; the kernel's buffers for its answers are small."""

    def __init__(self, port: int, session_id: str) -> None:
        self.started = time.monotonic()
        self.is_dropped = False
        self._socket = _raw_stream(port)
        item = {"session_id": session_id, "inputs": {"ids": [1] * 60}, "return": "logits"}
        self._frame = _masked(json.dumps(item).encode())
        self._left = b""

    def send(self) -> None:
        """Ask until the connection takes no more."""
        try:
            while True:
                self._left = self._left or self._frame
                self._left = self._left[self._socket.send(self._left) :]
        except BlockingIOError:
            pass
        except ConnectionError:
            self.is_dropped = True

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _raw_stream(port: int) -> socket.socket:
    """A WebSocket connection whose answers stay in the kernel's buffers, which are small."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(10)
    raw.connect(("127.0.0.1", port))
    raw.sendall(
        b"GET /stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b" 101 " in raw.recv(4096)
    raw.setblocking(False)
    return raw


def _masked(text: bytes) -> bytes:
    """A text frame of a client, masked with zeros."""
    return struct.pack(">BBH", 0x81, 0x80 | 126, len(text)) + bytes(4) + text
