from pathlib import Path

import numpy as np

from training.calibration import calibration
from training.plots.reliability import draw_reliability


def test_one_text_can_be_drawn(tmp_path: Path) -> None:
    draw_reliability(tmp_path / "calibration.png", "Texts, dev", calibration(np.array([0.7]), np.array([True])))
    assert (tmp_path / "calibration.png").read_bytes().startswith(b"\x89PNG")
