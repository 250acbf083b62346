"""The learning rate. It depends only on the step, so a run need not save any state of it."""

import math

from training.settings import LoopSettings


def learning_rate(step: int, total_steps: int, loop: LoopSettings) -> float:
    """Return the learning rate: linear warm-up to the highest rate, then half a cosine down to the final one.

    lr_t = final + (highest - final) (1 + cos(pi t)) / 2    Loshchilov and Hutter 2017 (SGDR), without restarts

    Args:
        step: Optimizer steps taken so far, from 0.
        total_steps: Optimizer steps of the whole run.
        loop: Rates and length of the warm-up.
    """
    warmup_steps = round(loop.warmup_fraction * total_steps)
    if step < warmup_steps:
        return loop.learning_rate * (step + 1) / warmup_steps
    t = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return loop.final_learning_rate + (loop.learning_rate - loop.final_learning_rate) * (1 + math.cos(math.pi * t)) / 2
