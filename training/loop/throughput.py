"""The speed of a training: items per second, and model FLOPs utilisation (MFU).

MFU is the model's rate of floating-point operations divided by the machine's (Chowdhery et al. 2022, arXiv:2204.02311,
appendix B). Here the machine's rate is measured instead of taken from a data sheet. In metrics.csv it is `gemm_share`.

The model's operations are counted once, on one batch: those of all matrix products, forward and backward, dense and
recurrent (a product of (n, k) and (k, m) is 2 n k m), by torch's own counter, extended to the fused recurrent layers.
The machine's rate is measured once, at the start, by a square product with the run's precision and threads. On a shared
machine it depends on the load at that moment.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

GEMM_SIZES = {"cpu": 768, "cuda": 4096}
GEMM_SECONDS = 0.1
DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}

Shape = Sequence[int]
aten = torch.ops.aten


@dataclass(frozen=True)
class Meter:
    """What turns a training's items per second into operations per second. It is measured once per run.

    Args:
        item: What is counted, in the singular.
        flops_per_item: Floating-point operations of the matrix products, forward and backward.
        gemm_flops: Operations per second of a large matrix product on this machine, by all devices together.
    """

    item: str
    flops_per_item: float
    gemm_flops: float

    def gemm_share(self, items_per_second: float) -> float:
        """MFU: the model's operations per second divided by the machine's."""
        return items_per_second * self.flops_per_item / self.gemm_flops

    def describe(self, items_per_second: float) -> str:
        """Describe a speed in one line."""
        return (
            f"{items_per_second:,.0f} {self.item}s a second, {items_per_second * self.flops_per_item / 1e9:,.1f} "
            f"GFLOP/s: {self.gemm_share(items_per_second):.0%} of this machine's matrix products "
            f"({self.gemm_flops / 1e9:,.0f} GFLOP/s)"
        )


def count_flops(step: Callable[[], Any]) -> int:
    """Count the floating-point operations of all matrix products of a call, forward and backward.

    The states of torch's random generators are restored.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices), FlopCounterMode(display=False, custom_mapping=FUSED) as counter:
        step()
    return int(counter.get_total_flops())


def measure_gemm(
    device: torch.device, precision: str, clock: Callable[[], float] = time.perf_counter, size: int | None = None
) -> float:
    """Measure the matrix products of a device for `GEMM_SECONDS`.

    Args:
        device: The device.
        precision: As Lightning Fabric names it.
        clock: Returns seconds.
        size: Rows and columns of the matrices. By default large enough for the device's highest rate.

    Returns:
        Floating-point operations per second of the fastest product.
    """
    size = size or GEMM_SIZES.get(device.type, GEMM_SIZES["cpu"])
    matrix = torch.randn(size, size, device=device, generator=torch.Generator(device)).to(DTYPES[precision])
    out = matrix @ matrix
    best, start = 0.0, clock()
    while clock() - start < GEMM_SECONDS:
        _wait(device)
        before = clock()
        torch.mm(matrix, matrix, out=out)
        _wait(device)
        best = max(best, 2 * size**3 / (clock() - before))
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _onednn_lstm(x: Shape, input_weight: Shape, hidden_weight: Shape, *_: object, **__: object) -> int:
    """Count the operations of one layer and direction of torch's LSTM on the CPU."""
    return 2 * prod(x[:-1]) * (prod(input_weight) + prod(hidden_weight))


def _cudnn_rnn(x: Shape, weights: Sequence[Shape], *_: object, **__: object) -> int:
    """Count the operations of all layers and directions of a recurrent module on CUDA, without biases (one axis)."""
    return 2 * prod(x[:-1]) * sum(prod(weight) for weight in weights if len(weight) == 2)


def _twice(formula: Callable[..., int]) -> Callable[..., int]:
    """Count the backward pass: the gradients of input and weights take as many operations each as the forward pass."""

    def flops(*arguments: object, **options: object) -> int:
        return 2 * formula(*arguments, **options)

    return flops


FUSED = {
    aten.mkldnn_rnn_layer: _onednn_lstm,
    aten.mkldnn_rnn_layer_backward: _twice(_onednn_lstm),
    aten._cudnn_rnn: _cudnn_rnn,
    aten._cudnn_rnn_backward: _twice(_cudnn_rnn),
}
