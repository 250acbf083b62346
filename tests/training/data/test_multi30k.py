import gzip
import os
from pathlib import Path

import pytest

from training.data import multi30k
from training.data.multi30k import Pair
from training.data.source import BrokenLineError, ChecksumError, MissingFileError

NEEDS_DATA = pytest.mark.skipif(
    not os.environ.get("UNROLLED_DATA_DIR"), reason="UNROLLED_DATA_DIR names no directory with the real data"
)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path))
    (tmp_path / "translation" / "multi30k").mkdir(parents=True)
    return tmp_path / "translation" / "multi30k"


def write(directory: Path, name: str, text: str) -> None:
    (directory / f"{name}.gz").write_bytes(gzip.compress(text.encode()))


def test_lines_of_two_files_are_pairs(directory: Path) -> None:
    write(directory, "test_2016_flickr.en", "A dog.\nTwo\u2028dogs. \n")
    write(directory, "test_2016_flickr.fr", "Un chien.\nDeux chiens.\n")
    assert multi30k.load("test", "fr") == [Pair("A dog.", "Un chien."), Pair("Two\u2028dogs.", "Deux chiens.")]


def test_empty_line_is_an_error_that_names_file_and_line() -> None:
    with pytest.raises(BrokenLineError, match=r"val\.de, line 2: the sentence is empty"):
        multi30k.parse("Ein Hund.\n \nZwei Hunde.\n", Path("val.de"))


def test_languages_of_different_lengths_are_no_pairs(directory: Path) -> None:
    write(directory, "test_2016_flickr.en", "A dog.\nTwo dogs.\n")
    write(directory, "test_2016_flickr.de", "Ein Hund.\n")
    with pytest.raises(BrokenLineError, match=r"test_2016_flickr\.de\.gz, line 2: 1 lines for 2 English ones"):
        multi30k.load("test", "de")


def test_another_text_is_refused(directory: Path) -> None:
    write(directory, "val.en", "A dog.\n")
    with pytest.raises(ChecksumError, match=r"val\.en\.gz"):
        multi30k.load("dev", "de")


@pytest.mark.usefixtures("directory")
def test_missing_test_part_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingFileError, match=r"test_2016_flickr\.en\.gz"):
        multi30k.load("test", "de")
    monkeypatch.delenv("UNROLLED_DATA_DIR")
    with pytest.raises(MissingFileError, match="can only be read from UNROLLED_DATA_DIR"):
        multi30k.load("test", "de")


@pytest.mark.data
@NEEDS_DATA
@pytest.mark.parametrize("language", ["de", "fr"])
def test_real_files_have_the_published_counts(language: multi30k.Language) -> None:
    assert [len(multi30k.load(split, language)) for split in ("train", "dev")] == [29_000, 1_014]
