import math

import pytest
import torch
from torch.func import jacrev

from training.diagnosis.jacobians import largest_singular_values, step_jacobians
from training.diagnosis.network import build, unroll
from training.diagnosis.problems import Adding
from training.diagnosis.variants import VARIANTS
from training.recurrence.bptt import state_jacobian
from training.recurrence.cells import Cell, VanillaCell


def inputs(T: int, C: int = 2) -> torch.Tensor:
    return torch.randn(T, C, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def cell_of(name: str, H: int) -> Cell:
    return build(VARIANTS[name], Adding(10), H, seed=1).double().cell()


def test_the_jacobians_of_the_vanilla_cell_multiply_to_its_state_jacobian() -> None:
    cell = cell_of("orthogonal", 5)
    assert isinstance(cell, VanillaCell)
    x = inputs(T=37)  # more than one piece
    jacobians = step_jacobians(cell, x)
    assert jacobians.shape == (37, 5, 5)
    h = torch.stack([state[0] for state in unroll(cell, x.unsqueeze(0))], dim=1).detach()
    product = torch.linalg.multi_dot(list(jacobians[30:]))
    torch.testing.assert_close(product, state_jacobian(cell, h, 30, 37)[0])
    [found] = largest_singular_values(jacobians, [7])
    assert found == pytest.approx(math.log10(float(torch.linalg.matrix_norm(product, 2))))


@pytest.mark.parametrize(("name", "S"), [("gru", 4), ("lstm-1", 8)])
def test_one_jacobian_of_a_gated_cell_is_autograds(name: str, S: int) -> None:
    cell, x = cell_of(name, 4), inputs(T=3)
    states = [torch.cat(state, dim=1)[0].detach() for state in unroll(cell, x.unsqueeze(0))]

    def last_step(state: torch.Tensor) -> torch.Tensor:
        parts = state.unsqueeze(0).split(4, dim=1)
        following = cell.step(x[2:], *parts)
        return torch.cat(following if isinstance(following, tuple) else (following,), dim=1)[0]

    expected = jacrev(last_step)(states[2])  # rows are s_3, columns s_2
    found = step_jacobians(cell, x)[2]
    assert found.shape == (S, S)
    torch.testing.assert_close(found, expected.T)


def test_a_known_spectrum_gives_its_largest_value_to_the_power_of_the_lag() -> None:
    jacobians = torch.diag(torch.tensor([0.9, 0.5, -0.99], dtype=torch.float64)).expand(600, 3, 3)
    found = largest_singular_values(jacobians, [0, 1, 100, 600])
    assert found == pytest.approx([k * math.log10(0.99) for k in (0, 1, 100, 600)])


def test_orthogonal_factors_keep_a_largest_value_of_one() -> None:
    torch.manual_seed(1)
    jacobians = torch.stack([torch.nn.init.orthogonal_(torch.empty(6, 6, dtype=torch.float64)) for _ in range(50)])
    assert largest_singular_values(jacobians, [10, 50]) == pytest.approx([0.0, 0.0], abs=1e-12)


def test_products_beyond_the_range_of_float64_are_still_told() -> None:
    jacobians = (1e-5 * torch.eye(2, dtype=torch.float64)).expand(200, 2, 2)
    assert largest_singular_values(jacobians, [200]) == pytest.approx([-1000.0])


def test_a_product_that_is_zero_is_minus_infinity_from_there_on() -> None:
    jacobians = torch.eye(2, dtype=torch.float64).repeat(5, 1, 1)
    jacobians[2] = 0.0
    assert largest_singular_values(jacobians, [0, 2, 3, 5]) == [0.0, 0.0, -math.inf, -math.inf]


@pytest.mark.parametrize("lags", [[3, 1], [6], [-1]])
def test_lags_outside_the_sequence_are_refused(lags: list[int]) -> None:
    with pytest.raises(ValueError, match="lags"):
        largest_singular_values(torch.eye(2).expand(5, 2, 2), lags)
