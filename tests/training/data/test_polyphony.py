import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from training.data import polyphony
from training.data.polyphony import CHORALES, FOLK, Collection, Piece
from training.data.source import BrokenLineError, ChecksumError, DataError, MissingFileError

NEEDS_DATA = pytest.mark.skipif(
    not os.environ.get("UNROLLED_DATA_DIR"), reason="UNROLLED_DATA_DIR names no directory with the real data"
)


def parse(text: str) -> list[Piece]:
    return list(polyphony.parse(text, Path("tunes.txt")))


def test_a_line_is_a_piece_of_frames_of_pitches() -> None:
    assert parse("60,64,67 _ 62\n21,108\n") == [((60, 64, 67), (), (62,)), ((21, 108),)]


@pytest.mark.parametrize("frame", ["64,60", "60,60", "20", "109", "C4", "60,", ""])
def test_a_broken_frame_is_an_error_with_its_line(frame: str) -> None:
    with pytest.raises(BrokenLineError, match=r"tunes\.txt, line 2"):
        parse(f"60 62\n{frame}\n64\n")


def test_matrices_of_a_matlab_file_are_the_same_pieces(tmp_path: Path) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    pieces = np.empty(2, dtype=object)
    pieces[0], pieces[1] = np.zeros((3, 88)), np.zeros((1, 88))
    pieces[0][0, [39, 43, 46]] = 1
    pieces[0][2, [0, 87]] = 1
    savemat(tmp_path / "tunes.mat", {"traindata": pieces})
    assert list(polyphony.read_matrices(tmp_path / "tunes.mat", "traindata")) == [((60, 64, 67), (), (21, 108)), ((),)]
    with pytest.raises(DataError, match="no testdata"):
        list(polyphony.read_matrices(tmp_path / "tunes.mat", "testdata"))


def test_a_missing_split_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path))
    with pytest.raises(MissingFileError, match=r"nottingham_test\.txt\.gz"):
        polyphony.load(FOLK, "test")


def test_another_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "jsb_chorales_valid.txt.gz").write_bytes(gzip.compress(b"60 62\n"))
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path))
    with pytest.raises(ChecksumError, match="jsb_chorales_valid"):
        polyphony.load(CHORALES, "dev")


@pytest.mark.data
@NEEDS_DATA
@pytest.mark.parametrize(
    ("collection", "split", "pieces", "frames"),
    [
        (CHORALES, "train", 229, 13_807),
        (CHORALES, "dev", 76, 4_602),
        (FOLK, "train", 694, 176_561),
        (FOLK, "dev", 173, 45_513),
    ],
)
def test_real_files_have_the_published_counts(collection: Collection, split: str, pieces: int, frames: int) -> None:
    loaded = polyphony.load(collection, split)
    assert (len(loaded), sum(map(len, loaded))) == (pieces, frames)
