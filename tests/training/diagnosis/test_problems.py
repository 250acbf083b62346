import math

import pytest
import torch
from torch import Generator

from training.diagnosis.problems import Adding, Copying


def test_adding_asks_for_the_sum_of_the_two_marked_numbers_one_in_each_half() -> None:
    x, y = Adding(9).draw(50, Generator().manual_seed(1))
    assert x.shape == (50, 9, 2)
    assert y.shape == (50, 1, 1)
    numbers, marks = x.unbind(dim=2)
    assert torch.equal(marks[:, :4].sum(dim=1), torch.ones(50))
    assert torch.equal(marks[:, 4:].sum(dim=1), torch.ones(50))
    torch.testing.assert_close(numbers[marks == 1].view(50, 2).sum(dim=1), y.flatten())


def test_always_answering_one_has_addings_baseline_error() -> None:
    problem = Adding(10)
    _, y = problem.draw(20_000, Generator().manual_seed(2))
    assert float(problem.loss(torch.ones_like(y), y)) == pytest.approx(problem.baseline, rel=0.03)


def test_copying_wants_the_symbols_again_after_the_sign() -> None:
    problem = Copying(7)
    x, y = problem.draw(5, Generator().manual_seed(3))
    assert x.shape == (5, 27, 10)
    assert y.shape == (5, 27)
    categories = x.argmax(dim=2)
    assert torch.equal(categories[:, :10], y[:, -10:])
    assert set(categories[:, :10].flatten().tolist()) <= set(range(1, 9))
    assert torch.equal(categories[:, 10:16], torch.zeros(5, 6, dtype=torch.int64))
    assert torch.equal(categories[:, 16], torch.full((5,), 9))
    assert not categories[:, 17:].any()
    assert not y[:, :-10].any()


def test_blanks_and_then_any_symbol_cost_copyings_baseline() -> None:
    problem = Copying(30)
    _, y = problem.draw(3, Generator().manual_seed(4))
    logits = torch.full((3, 50, 10), -1e9)
    logits[:, :40, 0] = 0.0
    logits[:, 40:, 1:9] = 0.0
    assert float(problem.loss(logits, y)) == pytest.approx(10 * math.log(8) / 50)
    assert problem.baseline == pytest.approx(10 * math.log(8) / 50)


def test_a_generator_of_the_same_seed_draws_the_same() -> None:
    first, second = (Adding(6).draw(4, Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first[0], second[0])


@pytest.mark.parametrize(("problem", "T"), [(Adding, 1), (Copying, 0)])
def test_too_short_a_problem_is_refused(problem: type[Adding | Copying], T: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        problem(T)
