"""Exploding gradients, with and without clipping: plain gradient descent, every step's loss and gradient norm.

Plain, because Adam divides by the size of the gradient itself and hides what an explosion does. Clipping rescales the
whole gradient to norm `clip` where it is larger (Pascanu et al. 2013, arXiv:1211.5063, algorithm 1).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Generator
from torch.optim import SGD
from tqdm import tqdm  # type: ignore[import-untyped]

from training.diagnosis.learning import optimise
from training.diagnosis.network import Network
from training.diagnosis.problems import Problem


@dataclass(frozen=True)
class DescentSettings:
    """Plain gradient descent.

    Args:
        steps: Most steps.
        rows: Fresh sequences of each step.
        learning_rate: Constant learning rate.
    """

    steps: int = 400
    rows: int = 64
    learning_rate: float = 0.01


def descend(
    network: Network, problem: Problem, settings: DescentSettings, clip_grad_norm: float | None, seed: int
) -> list[Mapping[str, float]]:
    """Train a network in place.

    Args:
        network: A fresh network.
        problem: The problem to learn.
        settings: Steps and learning rate.
        clip_grad_norm: Largest norm of the whole gradient. None for no clipping.
        seed: Seed of the training sequences.

    Returns:
        "step", "loss" and "grad_norm" before clipping, of every step up to the first that is not finite.
    """
    device = next(network.parameters()).device
    optimizer = SGD(network.parameters(), lr=settings.learning_rate)
    generator = Generator(device).manual_seed(seed)
    clip = math.inf if clip_grad_norm is None else clip_grad_norm
    updates = optimise(network, problem, optimizer, generator, settings.rows, clip)
    rows: list[Mapping[str, float]] = []
    for step in tqdm(range(1, settings.steps + 1), desc="descending", unit="step", leave=False, disable=None):
        loss, norm = (value.item() for value in next(updates))
        rows.append({"step": step, "loss": loss, "grad_norm": norm})
        if not math.isfinite(loss + norm):
            break
    return rows
