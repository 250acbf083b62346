from pathlib import Path

import numpy as np
from matplotlib.image import imread

from training.plots.confusion import confusion, draw_confusion


def test_true_labels_are_rows_and_guesses_columns() -> None:
    counts = confusion(3, np.array([0, 0, 2, 1]), np.array([0, 1, 0, 1]))
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_labels_that_never_occur_can_be_drawn(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "confusion.png", "Tags", ("A", "B"), np.array([[3, 1], [0, 0]]))
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_labels_may_hold_any_signs(tmp_path: Path) -> None:
    labels = ("costs $x_{ and $y", "温度", "long" * 100)
    draw_confusion(tmp_path / "confusion.png", "Labels", labels, np.eye(3, dtype=np.int64))
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_labels_that_the_font_lacks_are_numbers_and_listed(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "confusion.png", "Labels", ("a", "𓀀", "𓀁"), np.eye(3, dtype=np.int64))
    assert (tmp_path / "confusion.labels.txt").read_text(encoding="utf-8") == "#2 𓀀\n#3 𓀁\n"


def test_the_matrix_is_as_large_beside_long_labels(tmp_path: Path) -> None:
    heights = []
    for length in (1, 400):
        draw_confusion(tmp_path / f"{length}.png", "Labels", ("a" * length, "b" * length), np.eye(2, dtype=np.int64))
        image = imread(tmp_path / f"{length}.png")
        is_dark_blue = (image[..., 2] > 0.35) & (image[..., 0] < 0.1) & (image[..., 1] < 0.25)
        heights.append(is_dark_blue.any(axis=1).sum())
    assert heights[1] >= 0.9 * heights[0]
