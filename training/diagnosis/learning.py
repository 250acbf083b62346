"""Trains a network on a problem with Adam and clipping, and measures its error over optimizer steps."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from training.diagnosis.network import Network
from training.diagnosis.problems import Batch, Problem

# Of the sequences that the error is measured on, unlike any training seed. Those of artificial problems are not trained
# on; windows of the tasks' data are drawn from the same training data.
TEST_SEED = 10_000_019
TEST_ROWS = 1024
TEST_PIECE = 256

Row = Mapping[str, float]


@dataclass(frozen=True)
class LearningSettings:
    """How a network is trained.

    Args:
        steps: Most optimizer steps.
        rows: Fresh sequences of each step.
        learning_rate: Learning rate of Adam. It falls to 0 over the last 30 % of the steps.
        clip_grad_norm: Largest norm of the whole gradient.
        evaluate_every: Steps between two measurements of the error.
        max_seconds: Stop after this time. None for no limit.
        solved_share: Stop once the error is below this share of `Problem.solved`.
    """

    steps: int = 2000
    rows: int = 64
    learning_rate: float = 2e-3
    clip_grad_norm: float = 1.0
    evaluate_every: int = 50
    max_seconds: float | None = None
    solved_share: float = 0.3


def learn(
    network: Network,
    problem: Problem,
    settings: LearningSettings,
    seed: int,
    watch: Callable[[Row], None] = lambda _: None,
) -> list[Row]:
    """Train a network in place.

    Args:
        network: A fresh network, on the device where it is trained.
        problem: The problem to learn.
        settings: Steps, learning rate and limits.
        seed: Seed of the training sequences.
        watch: Called with each row of the result as soon as it is known.

    Returns:
        A row every `evaluate_every` steps, from step 0: "step", "error", "train_loss" and "grad_norm" before clipping
        (means since the row before), and "seconds". If the error is not finite, its row is the last.
    """
    device = next(network.parameters()).device
    test = problem.draw(TEST_ROWS, Generator(device).manual_seed(TEST_SEED))
    optimizer = Adam(network.parameters(), lr=settings.learning_rate)
    schedule = LambdaLR(optimizer, lambda step: min(1.0, (1 - step / settings.steps) / 0.3))
    generator = Generator(device).manual_seed(seed)
    updates = optimise(network, problem, optimizer, generator, settings.rows, settings.clip_grad_norm)
    start = time.perf_counter()
    rows = [_row(0, error(network, problem, test), math.nan, math.nan, 0.0)]
    watch(rows[0])
    pending: list[tuple[Tensor, Tensor]] = []
    for step in range(1, settings.steps + 1):
        pending.append(next(updates))
        schedule.step()
        if step % settings.evaluate_every and step < settings.steps:
            continue
        loss, norm = (torch.stack(values).mean().item() for values in zip(*pending, strict=True))
        pending.clear()
        rows.append(_row(step, error(network, problem, test), loss, norm, time.perf_counter() - start))
        watch(rows[-1])
        if is_over(rows[-1], problem, settings):
            break
    return rows


def is_over(row: Row, problem: Problem, settings: LearningSettings) -> bool:
    """Whether to stop: the problem is solved, time is up, or the error is not finite."""
    is_solved = problem.solved is not None and row["error"] < settings.solved_share * problem.solved
    is_late = settings.max_seconds is not None and row["seconds"] > settings.max_seconds
    return is_solved or is_late or not math.isfinite(row["error"])


def optimise(
    network: Network, problem: Problem, optimizer: Optimizer, generator: Generator, rows: int, clip: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Take optimizer steps without end. Yields loss and gradient norm before clipping, as tensors on the device."""
    parameters = list(network.parameters())
    while True:
        x, y = problem.draw(rows, generator)
        loss = problem.loss(network(x, problem.scored_steps), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_grad_norm_(parameters, clip)
        optimizer.step()
        yield loss.detach(), norm


@torch.no_grad()
def error(network: Network, problem: Problem, test: Batch) -> float:
    """Compute the problem's mean error on test sequences."""
    pieces = zip(*(torch.split(part, TEST_PIECE) for part in test), strict=True)
    total = sum(problem.loss(network(x, problem.scored_steps), y) * len(x) for x, y in pieces)
    return float(total) / len(test[0])


def _row(step: int, error: float, loss: float, norm: float, seconds: float) -> Row:
    return {"step": step, "error": error, "train_loss": loss, "grad_norm": norm, "seconds": seconds}
