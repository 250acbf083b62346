"""The equations of docs/gradients.md, in its letters, are what autograd does."""

import pytest
import torch
from torch import Tensor, nn

from tests.training.diagnosis.last_state import LastState
from training.diagnosis.gradient_norms import gradient_norms
from training.diagnosis.jacobians import largest_singular_values, step_jacobians
from training.diagnosis.network import build, unroll
from training.diagnosis.variants import VARIANTS
from training.recurrence.cells import GRUCell, LSTMCell

N, T, C, H = 2, 6, 3, 5


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_backward_pass_of_the_lstm_gives_the_measured_gradients_of_both_states() -> None:
    problem = LastState(T, C)
    network = build(VARIANTS["lstm-1"], problem, H, seed=1).double()
    x, y = draw(1, T, C), torch.zeros(1, 1, 1)
    with torch.no_grad():
        cell = network.cell()
        assert isinstance(cell, LSTMCell)
        h, c = zip(*unroll(cell, x), strict=True)
        Whi, Whf, Who, Whg = cell.Wh.chunk(4, dim=1)
        dc, dh = torch.zeros(1, H), network.head.weight.double()
        expected = []
        for t in range(T, 0, -1):
            i, f, o, g = (cell.project(x[:, t - 1]) + h[t - 1] @ cell.Wh).chunk(4, dim=1)
            i, f, o, g = i.sigmoid(), f.sigmoid(), o.sigmoid(), g.tanh()
            dc = dc + dh * o * (1 - c[t].tanh() ** 2)
            expected.append((dh.norm(), dc.norm()))
            di, df = dc * g * i * (1 - i), dc * c[t - 1] * f * (1 - f)
            do, dg = dh * c[t].tanh() * o * (1 - o), dc * i * (1 - g * g)
            dh = di @ Whi.T + df @ Whf.T + do @ Who.T + dg @ Whg.T
            dc = dc * f
    found = gradient_norms(network, problem, x, y)
    for norms, wanted in zip((found["h"], found["c"]), zip(*reversed(expected), strict=True), strict=True):
        torch.testing.assert_close(norms, torch.stack(wanted))


def test_a_row_vector_times_the_jacobian_of_the_gru() -> None:
    cell = GRUCell.from_torch(nn.GRU(C, H).double())
    x_t, h_prev, v = draw(N, C), draw(N, H, seed=2).requires_grad_(), draw(N, H, seed=3)
    [expected] = torch.autograd.grad(cell.step(x_t, h_prev), h_prev, v)
    with torch.no_grad():
        Whr, Whz, Whn = cell.Wh.chunk(3, dim=1)
        input_r, input_z, input_n = cell.project(x_t).chunk(3, dim=1)
        r, z = (input_r + h_prev @ Whr).sigmoid(), (input_z + h_prev @ Whz).sigmoid()
        m = h_prev @ Whn + cell.bhn
        n = (input_n + r * m).tanh()
        dz, dn = v * (h_prev - n) * z * (1 - z), v * (1 - z) * (1 - n * n)
        found = v * z + dz @ Whz.T + (dn * r) @ Whn.T + (dn * m * r * (1 - r)) @ Whr.T
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", VARIANTS)
def test_no_gradient_exceeds_the_largest_singular_value_times_what_it_started_from(name: str) -> None:
    problem = LastState(T, C)
    network = build(VARIANTS[name], problem, H, seed=1).double()
    cell, x = network.cell(), draw(1, T, C)
    states = unroll(cell, x)
    rows = [torch.autograd.grad(unit, states[0], retain_graph=True) for part in states[-1] for unit in part[0]]
    ds_T_ds_0 = torch.stack([torch.cat(row, dim=1)[0] for row in rows])
    v = draw(1, len(rows))
    sigma_max = torch.linalg.matrix_norm(ds_T_ds_0, 2)
    assert (v @ ds_T_ds_0).norm() <= sigma_max * v.norm()
    [found] = largest_singular_values(step_jacobians(cell, x[0]), [T])
    assert found == pytest.approx(float(sigma_max.log10()))


def test_torchs_own_start_of_tanh_is_beyond_the_bound_and_vanishes_by_its_spectral_radius() -> None:
    Whh = VARIANTS["tanh"].build(C, 128).state_dict()["weight_hh_l0"].double()
    assert torch.linalg.matrix_norm(Whh, 2) > 1.05
    assert torch.linalg.eigvals(Whh).abs().max() < 0.7
    assert torch.linalg.matrix_norm(torch.linalg.matrix_power(Whh, 50), 2) < 0.7**50 * 10
