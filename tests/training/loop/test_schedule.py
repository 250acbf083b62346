import pytest

from training.loop.schedule import learning_rate
from training.settings import LoopSettings

LOOP = LoopSettings(learning_rate=0.8, final_learning_rate=0.2, warmup_fraction=0.1)


def test_rate_grows_linearly_during_the_warmup() -> None:
    assert [learning_rate(step, 40, LOOP) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_rate_falls_along_a_cosine_to_the_final_one() -> None:
    assert learning_rate(4, 40, LOOP) == pytest.approx(0.8)
    assert learning_rate(4 + 18, 40, LOOP) == pytest.approx(0.5)
    assert learning_rate(40, 40, LOOP) == pytest.approx(0.2)


def test_rate_stays_final_after_the_end() -> None:
    assert learning_rate(99, 40, LOOP) == pytest.approx(0.2)


def test_no_warmup_starts_at_the_highest_rate() -> None:
    assert learning_rate(0, 40, LoopSettings(learning_rate=0.8, warmup_fraction=0)) == pytest.approx(0.8)
