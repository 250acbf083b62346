from pathlib import Path

import numpy as np
import pytest

from training.plots.losses import draw_losses, octaves


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, [(0, 1)]), (2, [(0, 1), (1, 2)]), (4, [(0, 1), (1, 2), (2, 4)]), (6, [(0, 1), (1, 2), (2, 4), (4, 6)])],
)
def test_octaves_hold_every_position_once(length: int, expected: list[tuple[int, int]]) -> None:
    assert [(group.start, group.stop) for group in octaves(length)] == expected


@pytest.mark.parametrize("rows", [1, 5])
def test_losses_are_drawn(tmp_path: Path, rows: int) -> None:
    losses = np.random.default_rng(1).random((rows, 9), dtype=np.float32)
    draw_losses(tmp_path / "losses.png", losses, "dev")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
