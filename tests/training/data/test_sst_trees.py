import os
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from training.data import source, sst_trees
from training.data.source import BrokenLineError
from training.data.sst_trees import Phrase

FILE = Path("trees.txt")
NEEDS_DATA = pytest.mark.skipif(
    not os.environ.get("UNROLLED_DATA_DIR"), reason="UNROLLED_DATA_DIR names no directory with the real data"
)
TREE = "(3 (2 Not) (4 (2 so) (4 good)))"
PHRASES = [
    Phrase(("Not",), 2),
    Phrase(("so",), 2),
    Phrase(("good",), 4),
    Phrase(("so", "good"), 4),
    Phrase(("Not", "so", "good"), 3, is_sentence=True),
]


def test_every_node_is_a_phrase_with_its_label() -> None:
    assert list(sst_trees.parse(f"{TREE}\n\n(1 dull)\n", FILE)) == [*PHRASES, Phrase(("dull",), 1, is_sentence=True)]


@pytest.mark.parametrize("line", ["(3 (2 Not) (4 good)", "(5 good)", "good", "(3 )", "(3 good))", "(2 (1 ) good)"])
def test_what_is_no_tree_is_an_error_that_names_file_and_line(line: str) -> None:
    with pytest.raises(BrokenLineError, match=r"trees\.txt, line 2: not a tree"):
        list(sst_trees.parse(f"{TREE}\n{line}\n", FILE))


def test_published_zip_is_read_where_no_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "trees.zip", "w") as archive:
        archive.writestr("trees/train.txt", TREE)
    monkeypatch.delenv("UNROLLED_DATA_DIR", raising=False)
    monkeypatch.setattr(source, "download", lambda _: tmp_path / "trees.zip")
    assert sst_trees.load() == PHRASES


@pytest.mark.data
@NEEDS_DATA
def test_real_file_has_the_published_counts() -> None:
    phrases = sst_trees.load()
    assert len(phrases) == 318_582
    polar = {(" ".join(phrase.words).lower(), phrase.label > 2) for phrase in phrases if phrase.label != 2}
    assert len(polar) == 77_201
    assert set(Counter(phrase.label for phrase in phrases)) == set(range(5))
