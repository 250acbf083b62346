"""A client's WebSocket frames (RFC 6455, section 5.2), cut from the bytes of its connection.

Nearly every message is a single frame, which needs no state: it is just an opcode and content. For each one, the
websockets library runs a state machine of generators and makes a frame object, which takes four times as long as
reading a step. All other frames are left to it, whole and in order.
"""

from collections.abc import Iterator

from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C if websockets was built with it

TEXT, BINARY = 0x1, 0x2
OTHER = -1

_FINAL, _MASKED = 0x80, 0x80
_OPCODES = 0x0F
_FRAGMENTS = (TEXT, BINARY)  # that begin a message of more than one frame
_LAST_FRAGMENT = _FINAL
_WHOLE = (_FINAL | TEXT, _FINAL | BINARY)
_LENGTH_16, _LENGTH_64 = 126, 127
_KEY_BYTES = 4


class Framing:
    """Finds where frames begin and end, however the network cuts them.

    Args:
        max_bytes: Largest content of a message that is cut out here.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._head = b""  # the start of a frame whose length is not known yet
        self._num_open = 0  # bytes of a frame that are still to come
        self._is_fragmented = False

    def cut(self, received: bytes) -> Iterator[tuple[int, bytes]]:
        """Cut received bytes: yield TEXT or BINARY with a whole message, else OTHER with the bytes, in order."""
        received = self._head + received if self._head else received
        self._head = b""
        at, end = 0, len(received)
        if self._num_open:
            at = min(self._num_open, end)
            self._num_open -= at
            yield OTHER, received[:at]
        while at < end:
            begin, length = _payload(received, at)
            if not begin:
                self._head = received[at:]
                return
            kind, stop = received[at], begin + length
            if kind in _WHOLE and self._is_plain(received[at + 1], length) and stop <= end:
                yield kind & _OPCODES, apply_mask(received[begin:stop], received[begin - _KEY_BYTES : begin])
            else:
                self._is_fragmented = kind in _FRAGMENTS or (self._is_fragmented and kind != _LAST_FRAGMENT)
                self._num_open = max(stop - end, 0)
                yield OTHER, received[at:stop]
            at = stop

    def rest(self) -> bytes:
        """Return the held bytes of a frame whose length is not known yet, and hold them no longer."""
        held, self._head = self._head, b""
        return held

    def _is_plain(self, second: int, length: int) -> bool:
        return bool(second & _MASKED) and length <= self._max_bytes and not self._is_fragmented


def frame(opcode: int, content: bytes) -> bytes:
    """Return a server's frame that is a whole message."""
    length = len(content)
    if length < _LENGTH_16:
        return b"%c%c%b" % (_FINAL | opcode, length, content)
    if length < 1 << 16:
        return b"%c%c%b%b" % (_FINAL | opcode, _LENGTH_16, length.to_bytes(2), content)
    return b"%c%c%b%b" % (_FINAL | opcode, _LENGTH_64, length.to_bytes(8), content)


def _payload(received: bytes, at: int) -> tuple[int, int]:
    """Return start and length of the payload of the frame at `at`. Zeros if its head is not complete."""
    end = len(received)
    if end < at + 2:
        return 0, 0
    second = received[at + 1]
    short = second & ~_MASKED
    begin = at + 2 + {_LENGTH_16: 2, _LENGTH_64: 8}.get(short, 0)
    length = int.from_bytes(received[at + 2 : begin]) if begin > at + 2 else short
    begin += _KEY_BYTES if second & _MASKED else 0
    return (begin, length) if begin <= end else (0, 0)
