"""Header fields, as ASGI and uvicorn have them: names in lower case, with their values."""

from collections.abc import Iterable


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Return the first value of a field, or b"" if there is none."""
    for key, value in headers:
        if key == name:
            return value
    return b""
