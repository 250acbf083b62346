"""Handwritten digits: 1,797 images of 8 x 8 pixels from 0 to 16 that scikit-learn ships (Alpaydin and Kaynak 1998).

They are the test part of UCI's "Optical Recognition of Handwritten Digits". Each pixel counts the inked pixels in a
4 x 4 block of the scan, from 0 (paper) to 16 (ink). There is no standard split; ours is drawn with a fixed seed.
"""

from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from training.data import source
from training.data.source import DataSource

SIZE = 8
LARGEST = 16

SOURCE = DataSource(
    name="scikit-learn's digits",
    address="https://raw.githubusercontent.com/scikit-learn/scikit-learn/1.9.1/sklearn/datasets/data/digits.csv.gz",
    sha256="6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8",  # unpacked
    licence="CC BY 4.0 (UCI); shipped by scikit-learn under BSD-3-Clause",
    citation="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998",
)

HELD_OUT = {"dev": 250, "test": 250}

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def load(split: str) -> tuple[Images, Labels]:
    """Load the images of "train", "dev" or "test".

    Returns:
        Images from 0 to 16, float32 (N, 8, 8), and the digits that they show, int64 (N,).

    Raises:
        ChecksumError: The installed scikit-learn ships a different file.
    """
    with as_file(files("sklearn.datasets.data") / "digits.csv.gz") as path:
        source.verify(path, SOURCE.sha256)
        table = np.loadtxt(source.read_text(path).splitlines(), delimiter=",", dtype=np.float32)
    rows = split_rows(len(table))[split]
    return table[rows, :-1].reshape(-1, SIZE, SIZE), table[rows, -1].astype(np.int64)


def split_rows(count: int) -> dict[str, NDArray[np.int64]]:
    """Return the rows of the file in each split: dev and test are drawn at random, train is the rest."""
    order = np.random.default_rng(0).permutation(count)
    dev, test = HELD_OUT["dev"], HELD_OUT["test"]
    return {"dev": order[:dev], "test": order[dev : dev + test], "train": order[dev + test :]}
