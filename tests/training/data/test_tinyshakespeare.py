import os
from pathlib import Path

import pytest

from training.data import tinyshakespeare
from training.data.source import ChecksumError

NEEDS_DATA = pytest.mark.skipif(
    not os.environ.get("UNROLLED_DATA_DIR"), reason="UNROLLED_DATA_DIR names no directory with the real data"
)


def test_split_is_contiguous_and_whole() -> None:
    parts = tinyshakespeare.split("abcdefghijk")
    assert parts == {"train": "abcdefghi", "dev": "jk"}


def test_another_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "textgen").mkdir()
    (tmp_path / "textgen" / "tinyshakespeare.txt").write_text("To be, or not to be")
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path))
    with pytest.raises(ChecksumError, match=r"tinyshakespeare\.txt"):
        tinyshakespeare.load()


@pytest.mark.data
@NEEDS_DATA
def test_real_file_has_the_published_counts() -> None:
    text = tinyshakespeare.load()
    assert (len(text), text.count("\n"), len(set(text))) == (1_115_394, 40_000, 65)
    parts = tinyshakespeare.split(text)
    assert (len(parts["train"]), len(parts["dev"])) == (1_003_854, 111_540)
