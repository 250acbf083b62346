"""A text file of a user's own."""

from collections import Counter
from pathlib import Path

from training.data.source import BrokenLineError, DataError, MissingFileError, check_unchanged

MIN_CHARACTERS = 5_000
MAX_DISTINCT = 1_000
RARE = 10  # of the rarest characters, how many an error shows


def read(path: Path, sha256: str | None = None) -> str:
    """Read the whole text, with line ends as "\\n".

    Args:
        path: A file in UTF-8.
        sha256: Checksum of the file that was trained on before, if it must be the same.

    Raises:
        MissingFileError: There is no such file.
        ChecksumError: It is another file.
        BrokenLineError: A line is not text in UTF-8.
        DataError: It is too short, or has too many distinct characters.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingFileError(path, str(error.strerror)) from error
    if sha256 is not None:
        check_unchanged(path, sha256)
    text = _decode(path, content)
    if len(text) < MIN_CHARACTERS:
        raise DataError(f"{path}: too short, {len(text)} characters; a model needs {MIN_CHARACTERS} at least")
    counts = Counter(text)
    if len(counts) > MAX_DISTINCT:
        rarest = " ".join(sorted(counts, key=lambda character: (counts[character], character))[:RARE])
        raise DataError(
            f"{path}: {len(counts)} distinct characters, {MAX_DISTINCT} at most; leave out rare ones, such as {rarest}"
        )
    return text


def _decode(path: Path, content: bytes) -> str:
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BrokenLineError(path, number, f"no UTF-8 at byte {error.start + 1}: save it as UTF-8") from error
        if "\0" in text:
            raise BrokenLineError(path, number, "a zero byte: is it a text file?")
    return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
