"""Cases whose gradients are known by heart: a linear network is a ReLU network whose states stay positive."""

import pytest
import torch
from torch import Tensor

from tests.training.diagnosis.last_state import LastState
from training.diagnosis.gradient_norms import gradient_norms
from training.diagnosis.network import Network, build
from training.diagnosis.problems import Copying, Problem
from training.diagnosis.variants import VARIANTS


def linear_network(problem: Problem, Whh: Tensor) -> Network:
    """h_t = h_{t-1} Whh + 1, which ReLU leaves alone as long as Whh has no negative entries."""
    network = build(VARIANTS["irnn"], problem, len(Whh), seed=1).double()
    weights = dict(network.recurrent.named_parameters())
    with torch.no_grad():
        weights["weight_ih_l0"].zero_()
        weights["bias_ih_l0"].fill_(1.0)
        weights["weight_hh_l0"].copy_(Whh.T)
    return network


def norms_of(network: Network, problem: Problem, N: int = 4) -> Tensor:
    x, y = problem.draw(N, torch.Generator().manual_seed(1))
    return gradient_norms(network, problem, x.double(), y.double())["h"]


def test_a_scalar_weight_below_one_vanishes_as_its_power() -> None:
    problem = LastState(40)
    network = linear_network(problem, torch.tensor([[0.5]], dtype=torch.float64))
    norms = norms_of(network, problem)
    expected = float(network.head.weight.abs().item()) * 0.5 ** torch.arange(39, -1, -1, dtype=torch.float64)
    torch.testing.assert_close(norms, expected)


def test_a_scalar_weight_above_one_explodes_as_its_power() -> None:
    problem = LastState(40)
    norms = norms_of(linear_network(problem, torch.tensor([[1.5]], dtype=torch.float64)), problem)
    assert float(norms[0] / norms[-1]) == pytest.approx(1.5**39)


def test_a_permutation_is_orthogonal_and_keeps_every_norm() -> None:
    problem = LastState(30)
    permutation = torch.eye(5, dtype=torch.float64)[torch.tensor([3, 0, 4, 1, 2])]
    network = linear_network(problem, permutation)
    norms = norms_of(network, problem)
    torch.testing.assert_close(norms, network.head.weight.norm().double().expand(30))


def test_torchs_own_start_of_tanh_vanishes_and_a_forget_bias_of_ten_carries_the_cell_state() -> None:
    problem = LastState(100)
    x, y = (part.double() for part in problem.draw(4, torch.Generator().manual_seed(2)))
    tanh = gradient_norms(build(VARIANTS["tanh"], problem, 16, seed=1).double(), problem, x, y)["h"]
    lstm = gradient_norms(build(VARIANTS["lstm-10"], problem, 16, seed=1).double(), problem, x, y)["c"]
    assert tanh[0] < 1e-15 * tanh[-1]
    assert lstm[0] > 0.5 * lstm[-1]


def test_every_row_counts_with_the_gradient_of_its_own_loss() -> None:
    problem = Copying(4)
    network = build(VARIANTS["gru"], problem, 6, seed=1).double()
    x, y = problem.draw(3, torch.Generator().manual_seed(3))
    together = gradient_norms(network, problem, x.double(), y)["h"]
    alone = [gradient_norms(network, problem, x[n : n + 1].double(), y[n : n + 1])["h"] for n in range(3)]
    torch.testing.assert_close(together, torch.stack(alone).mean(dim=0))


def test_only_the_answers_send_gradients_back() -> None:
    problem = Copying(4)
    network = build(VARIANTS["tanh"], problem, 6, seed=1).double()
    x, y = problem.draw(3, torch.Generator().manual_seed(4))
    wrong_blanks = y.clone()
    wrong_blanks[:, :-10] = 5
    found, same = (gradient_norms(network, problem, x.double(), wanted)["h"] for wanted in (y, wrong_blanks))
    torch.testing.assert_close(found, same, rtol=0, atol=0)
