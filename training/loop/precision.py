"""Which numbers the matrix products of a training are made of.

Processors with instructions for bfloat16 (AVX-512 BF16, AMX) and GPUs multiply it faster than float32; all others
emulate it, five times slower and more. Which of them this one is shows at once.
"""

from functools import cache
from typing import Literal

import torch

from training.loop.throughput import measure_gemm

Precision = Literal["32-true", "bf16-mixed", "64-true"]
TRIED: tuple[Precision, ...] = ("32-true", "bf16-mixed")
TRIED_SIZE = 256  # large enough to tell, small enough to be emulated in no time


@cache
def choose_precision(precision: Literal["auto"] | Precision, accelerator: str) -> Precision:
    """The precision of a run, as Lightning Fabric names it; for "auto" the faster one here.

    Args:
        precision: As the loop's settings have it.
        accelerator: As they have it, too.
    """
    if precision != "auto":
        return precision
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed"
    return max(TRIED, key=lambda each: measure_gemm(torch.device("cpu"), each, size=TRIED_SIZE))
