"""A user's own text file."""

from pathlib import Path

from training.data.own_characters import UTF_8, decode
from training.data.source import DataError, MissingFileError, check_unchanged
from training.text.characters import count_characters

MIN_CHARACTERS = 5_000
MAX_DISTINCT = 1_000
RARE = 10  # how many of the rarest characters an error shows


def read(path: Path, sha256: str | None = None, encoding: str = UTF_8) -> str:
    """Read the whole text, with line ends as "\\n".

    Args:
        path: Path of the file.
        sha256: Checksum of the file trained on before, if it must be the same.
        encoding: Encoding of the text, unless it has a byte order mark.

    Raises:
        MissingFileError: There is no such file.
        ChecksumError: The file has changed.
        BrokenLineError: A line is not text in that encoding.
        DataError: The text is too short, or has too many distinct characters.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingFileError(path, str(error.strerror)) from error
    if sha256 is not None:
        check_unchanged(path, sha256)
    text = decode(content, path, encoding).replace("\r\n", "\n").replace("\r", "\n")
    if len(text) < MIN_CHARACTERS:
        raise DataError(f"{path}: too short, {len(text)} characters; a model needs at least {MIN_CHARACTERS}")
    counts = count_characters(text)
    if len(counts) > MAX_DISTINCT:
        rarest = " ".join(sorted(counts, key=lambda character: (counts[character], character))[:RARE])
        raise DataError(
            f"{path}: {len(counts)} distinct characters, at most {MAX_DISTINCT} are allowed; remove "
            f"rare ones, such as {rarest}"
        )
    return text
