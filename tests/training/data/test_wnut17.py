import os
from collections import Counter
from pathlib import Path

import pytest

from training.data import wnut17
from training.data.source import BrokenLineError, MissingFileError
from training.data.wnut17 import Sentence

FILE = Path("wnut17.conll")
NEEDS_DATA = pytest.mark.skipif(
    not os.environ.get("UNROLLED_DATA_DIR"), reason="UNROLLED_DATA_DIR names no directory with the real data"
)
TEXT = "#NFL\tO\nNew\tB-location\nYork\tI-location\n\t\n \nok\tO\n"


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n")])
def test_sentences_are_parted_by_lines_without_a_token(text: str) -> None:
    assert list(wnut17.parse(text, FILE)) == [
        Sentence(("#NFL", "New", "York"), ("O", "B-location", "I-location")),
        Sentence(("ok",), ("O",)),
    ]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("ok\tO\nNew York B-location\n", 2, "expected 2 columns, not 1"),
        ("ok\tO\n\nNew\tO\nYork\tB-city\n", 3, "the tag 'B-city'"),
        ("\tO\n", 1, "the first column is empty"),
    ],
)
def test_broken_line_is_an_error_that_names_file_and_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(BrokenLineError, match=rf"wnut17\.conll, line {line}: .*{reason}"):
        list(wnut17.parse(text, FILE))


def test_missing_test_split_is_an_error_that_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path))
    with pytest.raises(MissingFileError, match=r"tagging/wnut17_test\.conll\.gz"):
        wnut17.load("test")


@pytest.mark.data
@NEEDS_DATA
def test_real_files_have_the_published_counts() -> None:
    for split, expected in {"train": (3_394, 62_730, 1_975), "dev": (1_009, 15_733, 836)}.items():
        sentences = wnut17.load(split)
        tags = Counter(tag[0] for sentence in sentences for tag in sentence.tags)
        assert (len(sentences), tags.total(), tags["B"]) == expected
