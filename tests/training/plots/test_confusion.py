from pathlib import Path

import numpy as np

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
