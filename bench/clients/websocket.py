"""WebSocket (RFC 6455) by hand: frames are built once and written to plain sockets.

The websockets library takes longer per message than the service does, so a benchmark with it would measure the library.
A client must mask its frames; the key 0 is valid and leaves the bytes unchanged.
"""

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from bench.clients.connection import RECEIVE_BYTES, Address, AnswerRefused, Connection

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_FINAL = 0x80
_MASKED = 0x80
_KEY = bytes(4)
_LENGTH_16, _LENGTH_64 = 126, 127
SUCCESS = b'"status":200'


class WebSocketConnection(Connection):
    """A connection whose answers are text frames with status 200.

    Args:
        address: Host and port.
        requests: Frames; see `frame`.
        headers: Headers of the handshake.
    """

    def __init__(
        self,
        address: Address,
        requests: Sequence[bytes],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(address, requests)
        self._handshake = _handshake(headers or {})

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold it open.

        Raises:
            AnswerRefused: The handshake was refused.
        """
        with super().opened():
            self._shake_hands()
            yield

    def _shake_hands(self) -> None:
        self.socket.sendall(self._handshake)
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = self.socket.recv(RECEIVE_BYTES)
            answer += received
            if not received:
                break
        if b" 101 " not in answer.split(b"\r\n", 1)[0]:
            raise AnswerRefused(answer[:1000].decode("latin-1"))

    def answer_length(self, received: bytes) -> int:
        return frame_length(received)

    def accepts(self, answer: bytes) -> bool:
        opcode = answer[0] & 0x0F
        if opcode == PING:
            self.socket.sendall(frame(payload(answer), PONG))
        if opcode in (PING, PONG):
            return False
        if opcode != TEXT or SUCCESS not in answer:
            raise AnswerRefused(repr(answer[:1000]))
        return True


def frame(content: bytes, opcode: int = TEXT) -> bytes:
    """Build a client's frame, masked with the key 0."""
    length = len(content)
    if length < _LENGTH_16:
        head = bytes([_FINAL | opcode, _MASKED | length])
    elif length < 1 << 16:
        head = bytes([_FINAL | opcode, _MASKED | _LENGTH_16]) + length.to_bytes(2)
    else:
        head = bytes([_FINAL | opcode, _MASKED | _LENGTH_64]) + length.to_bytes(8)
    return head + _KEY + content


def frame_length(received: bytes) -> int:
    """Return the length of a server's first complete frame, or 0 if there is none."""
    start = _payload_start(received)
    if not start or len(received) < start:
        return 0
    length = start + (received[1] if start == 2 else int.from_bytes(received[2:start]))
    return length if len(received) >= length else 0


def payload(received: bytes) -> bytes:
    """Return the content of a server's complete frame."""
    return received[_payload_start(received) :]


def _payload_start(received: bytes) -> int:
    if len(received) < 2:
        return 0
    return {_LENGTH_16: 4, _LENGTH_64: 10}.get(received[1], 2)


def _handshake(headers: Mapping[str, str]) -> bytes:
    lines = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET /stream HTTP/1.1\r\n{head}\r\n".encode()
