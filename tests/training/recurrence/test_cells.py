"""The written-out cells against torch's own, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from training.recurrence.cells import GatedCell, GRUCell, LSTMCell, VanillaCell, cell_of, unroll

Sizes = tuple[int, int, int]

# Each axis has a range of its own, so that a transposition cannot go unseen.
sizes = st.tuples(st.integers(1, 3), st.integers(4, 6), st.integers(7, 11))
seeds = st.integers(0, 2**31 - 1)


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def rows(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(sizes=sizes, seed=seeds, nonlinearity=st.sampled_from(["tanh", "relu"]), bias=st.booleans())
def test_vanilla_cell_gives_the_numbers_of_torch(sizes: Sizes, seed: int, nonlinearity: str, bias: bool) -> None:
    N, C, H = sizes
    torch.manual_seed(seed)
    theirs = nn.RNNCell(C, H, bias=bias, nonlinearity=nonlinearity).double()
    x_t, h_prev = rows(N, C), rows(N, H)
    assert_same(VanillaCell.from_torch(theirs).step(x_t, h_prev), theirs(x_t, h_prev))


@settings(max_examples=25, deadline=None)
@given(sizes=sizes, seed=seeds, bias=st.booleans())
def test_gru_cell_gives_the_numbers_of_torch(sizes: Sizes, seed: int, bias: bool) -> None:
    N, C, H = sizes
    torch.manual_seed(seed)
    theirs = nn.GRUCell(C, H, bias=bias).double()
    x_t, h_prev = rows(N, C), rows(N, H)
    assert_same(GRUCell.from_torch(theirs).step(x_t, h_prev), theirs(x_t, h_prev))


@settings(max_examples=25, deadline=None)
@given(sizes=sizes, seed=seeds, bias=st.booleans())
def test_lstm_cell_gives_the_numbers_of_torch(sizes: Sizes, seed: int, bias: bool) -> None:
    N, C, H = sizes
    torch.manual_seed(seed)
    theirs = nn.LSTMCell(C, H, bias=bias).double()
    x_t, h_prev, c_prev = rows(N, C), rows(N, H), rows(N, H)
    for found, expected in zip(
        LSTMCell.from_torch(theirs).step(x_t, h_prev, c_prev), theirs(x_t, (h_prev, c_prev)), strict=True
    ):
        assert_same(found, expected)


@pytest.mark.parametrize(("module_type", "cell_type"), [(nn.RNN, VanillaCell), (nn.GRU, GRUCell), (nn.LSTM, LSTMCell)])
def test_a_layer_of_torch_becomes_a_cell(module_type: type[nn.RNNBase], cell_type: type[nn.Module]) -> None:
    torch.manual_seed(1)
    N, T, C, H = 2, 3, 5, 7
    theirs = module_type(C, H, batch_first=True).double()
    cell, x = cell_of(theirs), rows(N, T, C)
    assert isinstance(cell, cell_type)
    state = tuple(x.new_zeros(N, H) for _ in range(2 if isinstance(cell, LSTMCell) else 1))
    states = unroll(cell, cell.project(x).unbind(dim=1), state)
    assert_same(torch.stack([h for h, *_ in states], dim=1), theirs(x)[0])


def test_copied_weights_are_independent_of_torchs() -> None:
    theirs = nn.GRU(5, 7)
    ours = GRUCell.from_torch(theirs)
    before = ours.Wx.detach().clone()
    with torch.no_grad():
        theirs.get_parameter("weight_ih_l0").zero_()
    assert torch.equal(ours.Wx, before)
    assert ours.Wx.requires_grad


def test_a_cell_needs_no_copying() -> None:
    cell = LSTMCell(5, 7)
    assert LSTMCell.from_torch(cell) is cell


@pytest.mark.parametrize(("cell", "other"), [(GRUCell, nn.LSTM), (LSTMCell, nn.GRU), (GRUCell, nn.RNN)])
def test_weights_of_another_kind_are_refused(cell: type[GRUCell | LSTMCell], other: type[nn.RNNBase]) -> None:
    with pytest.raises(ValueError, match=r"weights are"):
        cell.from_torch(other(5, 7))


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}, {"proj_size": 3}])
def test_modules_that_are_more_than_one_cell_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not one cell"):
        cell_of(nn.LSTM(5, 7, **options))


def test_a_module_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="no cell for RNNBase"):
        cell_of(nn.RNNBase("GRU", 5, 7))


def test_vanilla_cell_follows_its_equations_with_a_sigmoid_and_logits() -> None:
    torch.manual_seed(2)
    cell = VanillaCell(5, 7, activation="sigmoid", output_size=3).double()
    x_t, h_prev = rows(2, 5), rows(2, 7)
    h_t = 1 / (1 + torch.exp(-(x_t @ cell.Wxh + h_prev @ cell.Whh + cell.bh)))
    assert_same(cell.step(x_t, h_prev), h_t)
    assert cell.Why is not None
    assert cell.by is not None
    assert_same(cell.logits(h_t), h_t @ cell.Why + cell.by)


def test_a_cell_without_output_layer_has_no_logits() -> None:
    with pytest.raises(ValueError, match="output_size"):
        VanillaCell(5, 7).logits(torch.zeros(2, 7))


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="swish"):
        VanillaCell(5, 7, activation="swish")  # type: ignore[arg-type]


def test_projecting_all_steps_at_once_is_projecting_each() -> None:
    torch.manual_seed(3)
    cell = LSTMCell(5, 7).double()
    x = rows(2, 3, 5)
    projected = cell.project(x)
    assert projected.shape == (2, 3, 28)
    for t in range(3):
        assert_same(projected[:, t], cell.project(x[:, t]))


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, 5.5])
def test_the_forget_bias_sets_the_forget_gate_alone(forget_bias: float) -> None:
    H = 7
    cell = LSTMCell(5, H, forget_bias=forget_bias)
    assert torch.equal(cell.b[H : 2 * H], torch.full((H,), forget_bias))
    others = torch.cat([cell.b[:H], cell.b[2 * H :]]).detach()
    assert others.abs().max() <= 7**-0.5


def test_a_high_forget_bias_keeps_the_cell_state() -> None:
    cell = LSTMCell(5, 7, forget_bias=40.0).double()
    with torch.no_grad():
        cell.Wx.zero_()
        cell.Wh.zero_()
        cell.b[:7] = -40.0  # a closed input gate
    c_prev = rows(2, 7)
    _, c_t = cell.step(rows(2, 5), rows(2, 7), c_prev)
    assert_same(c_t, c_prev)


def test_a_gated_cell_that_cannot_take_torchs_weights_is_none() -> None:
    class Unfinished(GatedCell):
        pass

    with pytest.raises(TypeError, match="_copy"):
        Unfinished()  # type: ignore[abstract]
