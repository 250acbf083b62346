from pathlib import Path

import pytest

from training.data import own_text
from training.data.source import BrokenLineError, ChecksumError, DataError, MissingFileError

TEXT = "Once upon a time.\n" * 400


def written(directory: Path, content: bytes) -> Path:
    path = directory / "tale.txt"
    path.write_bytes(content)
    return path


def test_line_ends_and_a_byte_order_mark_are_made_plain(tmp_path: Path) -> None:
    windows = b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()
    assert own_text.read(written(tmp_path, windows)) == TEXT


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.txt"):
        own_text.read(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [(b"caf\xe9", "line 2: byte 4 is not UTF-8 .*: save .* --encoding windows-1252"), (b"a\0b", "line 2: a zero")],
)
def test_what_is_no_text_is_an_error_that_names_the_line(tmp_path: Path, wrong: bytes, reason: str) -> None:
    with pytest.raises(BrokenLineError, match=reason):
        own_text.read(written(tmp_path, b"first\n" + wrong + b"\n"))


def test_another_encoding_is_read_where_it_is_named_or_marked(tmp_path: Path) -> None:
    text = "Déjà vu, “again”.\n" * 400
    assert own_text.read(written(tmp_path, text.encode("windows-1252")), encoding="windows-1252") == text
    for marked in ("utf-16", "utf-32"):
        assert own_text.read(written(tmp_path, text.encode(marked))) == text


def test_a_short_text_is_too_short(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too short, 9 characters"):
        own_text.read(written(tmp_path, b"too short"))


def test_a_text_of_too_many_characters_shows_the_rare_ones(tmp_path: Path) -> None:
    many = TEXT + "".join(map(chr, range(0x4E00, 0x4E00 + 1000)))
    with pytest.raises(DataError, match=r"1014 distinct characters, at most 1000 .* such as 一"):
        own_text.read(written(tmp_path, many.encode()))


def test_another_file_than_was_trained_on_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT.encode())
    with pytest.raises(ChecksumError):
        own_text.read(path, "0" * 64)
