"""Decoding of a user's own file: as its byte order mark says, or else in the encoding that the user names, or UTF-8."""

import codecs
from pathlib import Path

from training.data.source import BrokenLineError

UTF_8 = "utf-8"
MARKS = {  # longer marks first: UTF-32's begins with UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode(content: bytes, path: Path, encoding: str = UTF_8) -> str:
    """Decode bytes to text without a byte order mark.

    Args:
        content: Content of the file.
        path: File to name in errors.
        encoding: Encoding of the text, unless it has a byte order mark.

    Raises:
        BrokenLineError: A line is not in that encoding, or has a zero byte.
    """
    encoding = next((marked for mark, marked in MARKS.items() if content.startswith(mark)), encoding)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BrokenLineError(
            path,
            line,
            f"byte {_column(content, error.start)} is not {encoding.upper()} ({error.reason}): save the file as text "
            "in UTF-8, or name its encoding: --encoding windows-1252 is that of many programs for Windows",
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise BrokenLineError(
            path, line, "a zero byte: remove it; if every second byte is zero, --encoding utf-16 reads the file"
        )
    return text


def _column(content: bytes, place: int) -> int:
    """Return the position of a byte in its line, from 1."""
    return place - content.rfind(b"\n", 0, place)
