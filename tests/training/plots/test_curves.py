"""Learning curves."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from training.plots.curves import draw_curves


@pytest.mark.parametrize("num_epochs", [1, 2, 3])
def test_epochs_are_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, num_epochs: int) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    history = [{"epoch": epoch, "loss": 1.0 / epoch} for epoch in range(1, num_epochs + 1)]
    draw_curves(tmp_path / "curves.png", "A run", history, {"loss": "nats"})
    [axis] = figures[0].axes
    shown = [tick for tick in axis.get_xticks() if 1 <= tick <= num_epochs]
    assert shown == list(range(1, num_epochs + 1))
