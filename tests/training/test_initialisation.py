import math
from collections.abc import Callable

import pytest
import torch

from training.cells import GRUCell, LSTMCell, VanillaCell
from training.initialisation import Cell, initialise, input_gates, recurrent_gates

C, H = 5, 7
cells = pytest.mark.parametrize(
    ("make", "gates"), [(VanillaCell, 1), (GRUCell, 3), (LSTMCell, 4)], ids=["vanilla", "gru", "lstm"]
)
Make = Callable[[int, int], Cell]


@cells
def test_each_gates_recurrent_matrix_is_orthogonal(make: Make, gates: int) -> None:
    cell = make(C, H)
    initialise(cell)
    matrices = list(recurrent_gates(cell))
    assert len(matrices) == gates
    for Wh in matrices:
        torch.testing.assert_close(Wh @ Wh.T, torch.eye(H))


@cells
def test_gates_are_drawn_apart(make: Make, gates: int) -> None:
    cell = make(C, H)
    initialise(cell)
    drawn = {tuple(Wh.flatten().tolist()) for Wh in recurrent_gates(cell)}
    assert len(drawn) == gates


@cells
def test_input_matrices_have_xaviers_bound_for_one_gate(make: Make, gates: int) -> None:
    cell = make(50, 70)
    initialise(cell)
    matrices = list(input_gates(cell))
    assert len(matrices) == gates
    bound = math.sqrt(6 / (50 + 70))
    for Wx in matrices:
        assert 0.95 * bound < Wx.abs().max() <= bound


def test_the_recurrent_gain_is_every_singular_value() -> None:
    cell = VanillaCell(C, H, activation="relu")
    initialise(cell, recurrent_gain=math.sqrt(2))
    singular_values = torch.linalg.svdvals(cell.Whh)
    torch.testing.assert_close(singular_values, torch.full((H,), math.sqrt(2)))


def test_biases_are_zero_but_for_the_forget_gate() -> None:
    cell = LSTMCell(C, H, forget_bias=2.5)
    initialise(cell)
    assert cell.b.tolist() == [0.0] * H + [2.5] * H + [0.0] * 2 * H
    gru = GRUCell(C, H)
    initialise(gru)
    assert not gru.b.any()
    assert not gru.bhn.any()


def test_an_output_layer_is_initialised_too() -> None:
    cell = VanillaCell(C, H, output_size=3)
    before = cell.Why
    assert before is not None
    values = before.detach().clone()
    initialise(cell)
    assert not torch.equal(before, values)
    assert before.abs().max() <= math.sqrt(6 / (H + 3))
    assert cell.by is not None
    assert not cell.by.any()


def test_equal_seeds_give_equal_weights() -> None:
    first, second = LSTMCell(C, H), LSTMCell(C, H)
    for cell in (first, second):
        torch.manual_seed(4)
        initialise(cell)
    for name, weight in first.named_parameters():
        assert torch.equal(weight, second.get_parameter(name))
