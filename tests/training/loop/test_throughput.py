import pytest
import torch
from torch import nn

from training.loop.throughput import FUSED, GEMM_SIZES, Meter, count_flops, measure_gemm

N, T, C, H = 2, 3, 5, 7


def recurrent_flops(gates: int) -> int:
    """Forwards and twice backwards, for a layer whose input and initial state want no gradient."""
    forwards = 2 * N * T * gates * H * (C + H)
    return 3 * forwards


@pytest.mark.parametrize("module", [nn.LSTM, nn.GRU, nn.RNN])
def test_fused_recurrent_layers_are_counted_as_their_matrix_products(module: type[nn.RNNBase]) -> None:
    layer = module(C, H, batch_first=True)
    x = torch.randn(N, T, C, requires_grad=True)
    gates = len(layer.state_dict()["weight_hh_l0"]) // H
    h_0 = torch.zeros(1, N, H, requires_grad=True)
    state = (h_0, torch.zeros(1, N, H)) if module is nn.LSTM else h_0
    assert count_flops(lambda: layer(x, state)[0].sum().backward()) == recurrent_flops(gates)


def test_cudnns_layers_count_matrices_and_no_biases() -> None:
    weights = [(4 * H, C), (4 * H, H), (4 * H,), (4 * H,)]
    forwards = FUSED[torch.ops.aten._cudnn_rnn]((N, T, C), weights, 4, out_shape=())
    assert 3 * forwards == recurrent_flops(gates=4)
    assert FUSED[torch.ops.aten._cudnn_rnn_backward]((N, T, C), weights, 4) == 2 * forwards


def test_dense_layers_are_counted_too() -> None:
    layer, x = nn.Linear(C, H), torch.randn(N, C)
    assert count_flops(lambda: layer(x).sum().backward()) == 2 * (2 * N * C * H)


def test_counting_leaves_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    count_flops(lambda: torch.rand(3) @ torch.rand(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_share_is_that_of_the_measured_product() -> None:
    meter = Meter("word", flops_per_item=2e6, gemm_flops=8e9)
    assert meter.gemm_share(1000.0) == pytest.approx(0.25)
    assert (
        meter.describe(1000.0) == "1,000 words a second, 2.0 GFLOP/s: 25% of this machine's matrix products (8 GFLOP/s)"
    )


def test_the_machines_rate_is_that_of_the_quickest_product() -> None:
    looked = [0.0]
    for before, after in ((0.0, 0.05), (0.05, 0.07), (0.07, 0.12)):
        looked += [before, before, after]
    clock = iter([*looked, 0.12])
    n = GEMM_SIZES["cpu"]
    assert measure_gemm(torch.device("cpu"), "32-true", clock.__next__) == pytest.approx(2 * n**3 / 0.02)
    assert list(clock) == []
