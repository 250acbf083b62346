import pytest
import torch
from torch import Generator, nn

from training.diagnosis.network import build, unroll
from training.diagnosis.problems import Copying
from training.diagnosis.variants import VARIANTS


@pytest.mark.parametrize("name", VARIANTS)
def test_the_states_of_the_unrolled_cell_are_those_of_the_fused_layer(name: str) -> None:
    problem = Copying(3)
    network = build(VARIANTS[name], problem, 7, seed=1).double()
    x = problem.draw(2, Generator().manual_seed(1))[0].double()
    states = unroll(network.cell(), x)
    assert len(states) == 24
    hidden, _ = network.recurrent(x)
    torch.testing.assert_close(torch.stack([state[0] for state in states[1:]], dim=1), hidden)


def test_networks_of_one_seed_are_equal_and_leave_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (build(VARIANTS["gru"], Copying(3), 5, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.head.weight, same.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)


def test_the_forget_bias_is_the_sum_of_both_of_torchs() -> None:
    layer = VARIANTS["lstm-10"].build(3, 4)
    total = layer.state_dict()["bias_ih_l0"] + layer.state_dict()["bias_hh_l0"]
    assert torch.equal(total[4:8], torch.full((4,), 10.0))
    assert total[:4].abs().max() < 2


def test_plain_networks_start_as_their_papers_say() -> None:
    orthogonal = VARIANTS["orthogonal"].build(3, 6).state_dict()["weight_hh_l0"]
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(6))
    identity = VARIANTS["irnn"].build(3, 6)
    assert isinstance(identity, nn.RNN)
    assert identity.nonlinearity == "relu"
    assert torch.equal(identity.state_dict()["weight_hh_l0"], torch.eye(6))
    radius = torch.linalg.eigvals(VARIANTS["tanh"].build(3, 400).state_dict()["weight_hh_l0"]).abs().max()
    assert float(radius) == pytest.approx(3**-0.5, rel=0.1)
