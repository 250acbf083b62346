from pathlib import Path

import pytest
from matplotlib.axes import Axes

from training.diagnosis.panels import Panels
from training.diagnosis.plan import Case
from training.diagnosis.plots import draw_learning
from training.diagnosis.problems import Adding, Copying


def test_each_panel_of_learning_has_a_line_for_the_error_of_ignoring_the_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn: list[Axes] = []
    monkeypatch.setattr(Panels, "save", lambda panels, *_: drawn.extend(panels.axes))
    curve = {"error": ([0.0, 50.0], [2.0, 0.2])}
    draw_learning(tmp_path / "learning.png", {Case(name, 30, "gru"): curve for name in ("adding", "copying")})
    constant = [[line.get_ydata()[0] for line in axis.get_lines()[1:]] for axis in drawn]  # type: ignore[index]
    assert constant == [[Adding.baseline, Adding.solved], [Copying(30).baseline]]
