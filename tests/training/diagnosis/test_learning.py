import math

import pytest
import torch
from torch import Generator

from training.diagnosis.clipping import DescentSettings, descend
from training.diagnosis.learning import LearningSettings, error, is_over, learn
from training.diagnosis.network import build
from training.diagnosis.problems import Adding
from training.diagnosis.variants import VARIANTS


def test_a_gru_learns_to_add_over_a_few_steps() -> None:
    problem = Adding(4)
    network = build(VARIANTS["gru"], problem, 16, seed=1)
    rows = learn(network, problem, LearningSettings(steps=200, rows=32, learning_rate=2e-2, evaluate_every=100), seed=1)
    assert [row["step"] for row in rows] == [0, 100, 200]
    assert rows[-1]["error"] < problem.baseline / 4
    test = problem.draw(300, Generator().manual_seed(5))
    assert error(network, problem, test) < problem.baseline / 4


def test_learning_is_a_function_of_its_seed() -> None:
    def run(seed: int) -> float:
        network = build(VARIANTS["tanh"], Adding(5), 4, seed=1)
        return learn(network, Adding(5), LearningSettings(steps=3, rows=4), seed)[-1]["error"]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_it_stops_when_the_problem_is_solved() -> None:
    problem = Adding(4)
    problem.solved = 1e9
    rows = learn(build(VARIANTS["tanh"], problem, 4, seed=1), problem, LearningSettings(steps=50, evaluate_every=2), 1)
    assert rows[-1]["step"] == 2


@pytest.mark.parametrize(
    ("error", "seconds", "over"), [(0.1, 1.0, False), (0.1, 6.0, True), (math.nan, 1.0, True), (1e-4, 1.0, True)]
)
def test_it_is_over_when_solved_late_or_lost(error: float, seconds: float, over: bool) -> None:
    row = {"error": error, "seconds": seconds}
    assert is_over(row, Adding(5), LearningSettings(max_seconds=5.0)) is over


def test_clipping_keeps_descent_alive_that_explodes_without_it() -> None:
    problem, settings = Adding(30), DescentSettings(steps=40, rows=8, learning_rate=0.5)

    def run(clip: float | None) -> list[float]:
        network = build(VARIANTS["irnn"], problem, 8, seed=1)
        with torch.no_grad():
            dict(network.recurrent.named_parameters())["weight_hh_l0"].mul_(1.5)
            dict(network.recurrent.named_parameters())["weight_ih_l0"].fill_(0.1)
        return [row["loss"] for row in descend(network, problem, settings, clip, seed=1)]

    free, clipped = run(None), run(0.1)
    assert not math.isfinite(free[-1])
    assert len(free) < 40
    assert len(clipped) == 40
    assert clipped[-1] < clipped[0]
