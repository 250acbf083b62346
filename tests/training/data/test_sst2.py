import os
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from training.data import source, sst2
from training.data.source import BrokenLineError, MissingFileError
from training.data.sst2 import Example

FILE = Path("sst2.tsv")
NEEDS_DATA = pytest.mark.skipif(
    not os.environ.get("UNROLLED_DATA_DIR"), reason="UNROLLED_DATA_DIR names no directory with the real data"
)


@pytest.mark.parametrize(
    "text",
    [
        'label\tsentence\n1\ta stirring film .\n0\tno "wit , only gags\n',
        'sentence\tlabel\na stirring film . \t1\nno "wit , only gags \t0\n',
        'label\tsentence\r\n1\ta stirring film .\r\n0\tno "wit , only gags',
    ],
)
def test_both_layouts_give_the_same_examples(text: str) -> None:
    assert list(sst2.parse(text, FILE)) == [Example("a stirring film .", 1), Example('no "wit , only gags', 0)]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "expected the columns"),
        ("1\ta stirring film .\n", 1, "expected the columns"),
        ("label\tsentence\n1\tfine\n1 no tab\n", 3, "expected 2 columns, not 1"),
        ("label\tsentence\n1\tfine\ttoo much\n", 2, "expected 2 columns, not 3"),
        ("label\tsentence\n1\tfine\n2\tfine\n", 3, "label is '2'"),
        ("label\tsentence\n1\t \n", 2, "sentence is empty"),
        ("label\tsentence\n1\tfine\n\n", 3, "expected 2 columns"),
    ],
)
def test_broken_line_is_an_error_that_names_file_and_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(BrokenLineError, match=rf"sst2\.tsv, line {line}: .*{reason}"):
        list(sst2.parse(text, FILE))


def test_published_zip_is_read_where_no_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "SST-2.zip", "w") as archive:
        archive.writestr("SST-2/dev.tsv", "sentence\tlabel\na charming journey . \t1\n")
    monkeypatch.delenv("UNROLLED_DATA_DIR", raising=False)
    monkeypatch.setattr(source, "download", lambda _: tmp_path / "SST-2.zip")
    assert sst2.load("dev") == [Example("a charming journey .", 1)]


def test_broken_line_in_the_zip_names_the_file_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "SST-2.zip", "w") as archive:
        archive.writestr("SST-2/dev.tsv", "sentence\tlabel\nno label here\n")
    monkeypatch.delenv("UNROLLED_DATA_DIR", raising=False)
    monkeypatch.setattr(source, "download", lambda _: tmp_path / "SST-2.zip")
    with pytest.raises(BrokenLineError, match=r"SST-2\.zip/SST-2/dev\.tsv, line 2"):
        sst2.load("dev")


@pytest.mark.parametrize("is_named", [True, False])
def test_missing_test_split_is_an_error_that_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path) if is_named else "")
    with pytest.raises(MissingFileError, match=r"sentiment/sst2_test\.tsv.*UNROLLED_DATA_DIR"):
        sst2.load("test")


def test_test_split_is_read_when_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sentiment").mkdir()
    (tmp_path / "sentiment" / "sst2_test.tsv").write_text("label\tsentence\n0\tno movement .\n")
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path))
    assert sst2.load("test") == [Example("no movement .", 0)]


@pytest.mark.data
@NEEDS_DATA
def test_real_files_have_the_published_counts() -> None:
    counts = {split: Counter(example.label for example in sst2.load(split)) for split in ("train", "dev")}
    assert counts == {"train": {1: 37_569, 0: 29_780}, "dev": {1: 444, 0: 428}}
