"""HTTP/1.1 by hand: requests are bytes, and an answer's length is read from its head."""

from collections.abc import Mapping, Sequence

from bench.clients.connection import Address, AnswerRefused, Connection

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
SUCCESS = ord("2")
STATUS_AT = len("HTTP/1.1 ")


class HttpConnection(Connection):
    """A kept-alive connection.

    Args:
        address: Host and port.
        requests: See `request`.
        expected: What every answer must contain, and how often: (b'"status":200', 64).
    """

    def __init__(self, address: Address, requests: Sequence[bytes], expected: tuple[bytes, int] | None = None) -> None:
        super().__init__(address, requests)
        self._expected = expected

    def answer_length(self, received: bytes) -> int:
        return answer_length(received)

    def accepts(self, answer: bytes) -> bool:
        if answer[STATUS_AT] != SUCCESS:
            raise AnswerRefused(answer[:1000].decode("latin-1"))
        if self._expected is not None and answer.count(self._expected[0]) != self._expected[1]:
            raise AnswerRefused(f"{self._expected} is not in {answer[:1000]!r}")
        return True


def request(
    path: str, body: bytes, headers: Mapping[str, str] | None = None, content_type: str = "application/json"
) -> bytes:
    """Return the bytes of a POST request."""
    lines = {"Host": "localhost", "Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def answer_length(received: bytes) -> int:
    """Return the length of the first complete answer, or 0 if there is none."""
    end = received.find(HEAD_END)
    if end < 0:
        return 0
    head = received[:end].lower()
    start = head.find(b"content-length:")
    if start < 0:
        if b"transfer-encoding: chunked" not in head:
            raise AnswerRefused(f"an answer without a length: {head!r}")
        last = received.find(LAST_CHUNK, end)
        return last + len(LAST_CHUNK) if last >= 0 else 0
    digits = head[start + len(b"content-length:") :].split(b"\r\n", 1)[0]
    length = end + len(HEAD_END) + int(digits)
    return length if len(received) >= length else 0
