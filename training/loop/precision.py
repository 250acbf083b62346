"""The precision of a training's matrix products.

GPUs and processors with instructions for bfloat16 (AVX-512 BF16, AMX) multiply it faster than float32. All others
emulate it, at least five times slower, so a short measurement distinguishes the two kinds.
"""

from functools import cache
from typing import Literal, get_args

import torch

from training.loop.throughput import measure_gemm

Precision = Literal["32-true", "bf16-mixed"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
TRIED_SIZE = 256  # large enough to see the difference, small enough to be emulated quickly


def is_measured(precision: Literal["auto"] | Precision, accelerator: str) -> bool:
    """Whether `choose_precision`, given these arguments, measures. Processes may then choose differently."""
    return precision == "auto" and (accelerator == "cpu" or not torch.cuda.is_available())


@cache
def choose_precision(precision: Literal["auto"] | Precision, accelerator: str) -> Precision:
    """Resolve "auto" to this machine's faster precision, by a measurement. Others are returned unchanged.

    Args:
        precision: `loop.precision` of the settings.
        accelerator: `loop.accelerator` of the settings.

    Returns:
        The precision as Lightning Fabric names it.
    """
    if precision != "auto":
        return precision
    if not is_measured(precision, accelerator):
        return "bf16-mixed"
    return max(PRECISIONS, key=lambda each: measure_gemm(torch.device("cpu"), each, size=TRIED_SIZE))
