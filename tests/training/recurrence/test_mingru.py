import math

import torch

from training.recurrence.mingru import MinGRUCell

N, T, C, H = 2, 6, 5, 7


def make_cell() -> MinGRUCell:
    torch.manual_seed(1)
    return MinGRUCell(C, H).double()


@torch.no_grad()
def test_a_step_is_the_papers_equation() -> None:
    cell = make_cell()
    x, h = torch.randn(N, C).double(), torch.rand(N, H).double()
    z = torch.sigmoid(x @ cell.Wx[:, :H] + cell.b[:H])
    v = x @ cell.Wx[:, H:] + cell.b[H:]
    n = torch.where(v >= 0, v + 0.5, torch.sigmoid(v))
    torch.testing.assert_close(cell.step_by_step(x.unsqueeze(0), h), ((1 - z) * h + z * n).unsqueeze(0))


@torch.no_grad()
def test_all_steps_at_once_are_those_one_by_one() -> None:
    cell = make_cell()
    x, h = torch.randn(T, N, C).double(), torch.rand(N, H).double()
    torch.testing.assert_close(cell.scan(x, h), cell.step_by_step(x, h))


def test_each_gates_weights_have_xaviers_bound() -> None:
    cell = MinGRUCell(50, 70)
    bound = math.sqrt(6 / (50 + 70))
    for gate in cell.Wx.detach().split(70, dim=1):
        assert 0.95 * bound < gate.abs().max() <= bound
