"""Header fields, as ASGI and uvicorn have them: names in lower case, with their values."""

from collections.abc import Iterable

HEADER_LENGTH = b"inference-header-content-length"  # the length of the JSON that precedes tensors


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Return the first value of a field, or b"" if there is none."""
    for key, value in headers:
        if key == name:
            return value
    return b""
