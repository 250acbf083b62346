"""`python -m training budget`: estimates the cost of each training on this machine before it begins.

Takes optimizer steps on some batches of an epoch, times them, and counts the floating-point operations of their matrix
products (see `training.loop.throughput`). Both figures, and the time to draw all batches, are extrapolated to all
epochs. Evaluation between epochs is left out, and a run that stops early costs less.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from training import settings
from training.loop.precision import Precision, choose_precision
from training.loop.run import Run, build_run, make_fabric
from training.loop.step import count_batch, take_step
from training.loop.throughput import measure_gemm
from training.tasks import registry
from training.tasks.registry import Training
from training.tasks.task import Batch, Task

TIMED_BATCHES = 8  # at most this many, spread evenly over an epoch


@dataclass(frozen=True)
class Budget:
    """The cost of one training.

    Args:
        task: Its name.
        item: What is counted, in the singular.
        items: Items of all epochs.
        flops: Floating-point operations of the matrix products of all epochs.
        seconds: Time of all epochs, if the machine stays as busy as it was.
        device: The device that it was measured on.
    """

    task: str
    item: str
    items: float
    flops: float
    seconds: float
    device: torch.device


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line of training."""
    parser = commands.add_parser(
        "budget",
        help="estimate the cost of each training on this machine",
        description=f"Train on at most {TIMED_BATCHES} batches of each task, count their operations, and estimate how "
        "long all epochs take on this machine, without the evaluation between them.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="training to estimate; default: all, including those that are only for comparison",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    known = registry.trainings()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        raise settings.SettingsError(f"there is no training {', '.join(unknown)}; choose from {', '.join(known)}")
    print(f"{'task':24} {'items':>14} {'':10} {'TFLOP':>8} {'minutes':>8} {'of GEMM':>8}")
    total = 0.0
    for name in options.names or known:
        task = _make_task(known[name])
        asked = task.settings.loop
        torch.set_num_threads(asked.threads)
        precision = choose_precision(asked.precision, asked.accelerator)
        budget = measure(task, precision)
        # Compared with products of large square matrices, measured at the same moment.
        gemm_flops = measure_gemm(budget.device, precision)
        share = budget.flops / budget.seconds / gemm_flops
        print(
            f"{name:24} {budget.items:14,.0f} {budget.item + 's':10} {budget.flops / 1e12:8.1f} "
            f"{budget.seconds / 60:8.1f} {share:8.0%}"
        )
        total += budget.seconds
    print(f"{total / 3600:.1f} hours in total, one after another")
    return 0


def measure(task: Task[Any], precision: Precision, clock: Callable[[], float] = time.perf_counter) -> Budget:
    """Estimate the cost of all epochs of a training from a few of its steps.

    Args:
        task: The task to train.
        precision: Precision of the matrix products.
        clock: Returns seconds.
    """
    run = build_run(make_fabric(task.settings.loop, precision), task, precision)
    run.model.train()
    epochs, batches = task.settings.loop.epochs, task.batches_per_epoch()
    every = -(-batches // TIMED_BATCHES)
    next(iter(task.train_batches(0)))  # loads the data, once for all epochs
    items, tried, aside, start = 0, [], 0.0, clock()
    for i, batch in enumerate(tqdm(task.train_batches(0), task.name, batches, leave=False, unit="batch", disable=None)):
        items += task.count_items(batch)
        if i % every == 0:
            before = clock()
            tried.append((task.count_items(batch), *_try(run, batch, clock)))
            aside += clock() - before
    drawing = clock() - start - aside
    tried_items, flops, seconds = map(sum, zip(*tried, strict=True))
    scale = items / max(tried_items, 1)  # by items, since batches of long texts cost more
    return Budget(
        task=task.name,
        item=task.throughput_unit,
        items=epochs * items,
        flops=epochs * scale * flops,
        seconds=epochs * (scale * seconds + drawing),
        device=run.fabric.device,
    )


def _try(run: Run, batch: Batch, clock: Callable[[], float]) -> tuple[int, float]:
    """Take one step, and return its floating-point operations and its seconds."""
    flops = count_batch(run, batch)  # also a warm-up: the first passes of a shape take longer
    start = clock()
    take_step(run, batch, None)
    return flops, clock() - start


def _make_task(training: Training) -> Task[Any]:
    task_type = registry.task_type(training.task)
    return task_type(settings.load(task_type.settings_type, training.task, training.config))
