"""`python -m training budget`: what the training of each task costs here, before it is begun.

The work is counted: the matrix products of one batch (see throughput), times the items of all epochs. The time is the
work over the machine's own rate of matrix products, of which recurrent networks reach a share. Evaluation between
epochs is not in it.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from training import settings
from training.tasks import registry
from training.tasks.registry import Training
from training.tasks.task import Task
from training.throughput import count_flops, measure_gemm

SHARE = 0.35


@dataclass(frozen=True)
class Budget:
    """The work of one training.

    Args:
        task: Its name.
        item: What is counted, in the singular.
        items: Of all epochs.
        flops: Floating-point operations of the matrix products, all of them.
    """

    task: str
    item: str
    items: float
    flops: float

    def seconds(self, gemm_flops: float, share: float) -> float:
        """How long it takes on a machine with this rate of matrix products, of which the model reaches a share."""
        return self.flops / (gemm_flops * share)


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Make the command line of training know the command."""
    parser = commands.add_parser(
        "budget",
        help="what the training of each task costs on this machine",
        description="Count the work of each task's training, measure this machine's matrix products for a moment, and "
        "print the time that follows.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="what to train; default: all, also what serves comparison only",
    )
    parser.add_argument("--share", type=float, default=SHARE, help=f"of the machine's rate; default: {SHARE}")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    known = registry.trainings()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        raise settings.SettingsError(f"no training {', '.join(unknown)}; there are {', '.join(known)}")
    torch.set_num_threads(1)
    gemm_flops = measure_gemm(torch.device("cpu"), "32-true")
    print(f"{gemm_flops / 1e9:.0f} GFLOP/s of matrix products on one thread, of which {options.share:.0%} are reached")
    print(f"{'task':24} {'items':>14} {'':10} {'TFLOP':>8} {'minutes':>8}")
    total = 0.0
    for name in options.names or known:
        budget = count(_make_task(known[name]))
        seconds = budget.seconds(gemm_flops, options.share)
        print(f"{name:24} {budget.items:14,.0f} {budget.item + 's':10} {budget.flops / 1e12:8.1f} {seconds / 60:8.0f}")
        total += seconds
    print(f"{total / 3600:.1f} hours in all, one after the other")
    return 0


def count(task: Task[Any]) -> Budget:
    """The work of a task's training, if it runs through all its epochs."""
    flops_per_item = _count_first_batch(task)
    batches = task.train_batches(0)
    bar = tqdm(batches, task.name, task.batches_per_epoch(), leave=False, unit="batch", disable=None)
    items = task.settings.loop.epochs * sum(map(task.count_items, bar))
    return Budget(task.name, task.item, items, flops_per_item * items)


def _count_first_batch(task: Task[Any]) -> float:
    model, batch = task.build_model().train(), next(iter(task.train_batches(0)))

    def step() -> None:
        task.loss(model, batch, None)[0].backward()  # type: ignore[no-untyped-call]

    return count_flops(step) / max(task.count_items(batch), 1)


def _make_task(training: Training) -> Task[Any]:
    task_type = registry.task_type(training.task)
    return task_type(settings.load(task_type.settings_type, training.task, training.config))
