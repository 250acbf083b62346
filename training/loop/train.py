"""The training loop of every task: batches in, checkpoints out. It knows tasks only through `Task`.

A run is a function of its settings: batches depend on (seed, epoch), and torch's generator is reseeded in each epoch
from (seed, epoch, rank). The run is saved after every epoch. After an interruption, a resumed run repeats at most one
epoch and ends with the same weights, bit for bit, on the CPU of the same machine. (On CUDA, torch's operators that add
in parallel have no fixed order.)

    output/best/        checkpoint of the best epoch, by the task's goal on the dev split
    output/last/        checkpoint of the last whole epoch, with resume.ckpt: weights, optimizer, average, progress
    output/metrics.csv, output/tensorboard/, output/curves.png
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from tqdm import tqdm  # type: ignore[import-untyped]

from training import checkpoint
from training.loop.metrics_log import MetricsLog
from training.loop.output import LAST, prepare, remove_run, resume_file
from training.loop.precision import Precision, choose_precision, is_measured
from training.loop.run import DEV, Run, TrainingError, build_run, make_fabric, saved_precision
from training.loop.schedule import learning_rate
from training.loop.step import count_batch, shard, take_step
from training.loop.throughput import Meter, measure_gemm
from training.settings import LoopSettings
from training.tasks.task import Batch, Task


def train(task: Task[Any], output: Path, command: str, *, resume: bool = False, overwrite: bool = False) -> bool:
    """Train a task from its settings, and leave the best and the last checkpoint in `output`.

    Args:
        task: Supplies data, model, loss and metrics.
        output: Directory of the run.
        command: What the user typed, kept in the checkpoints.
        resume: Continue from output/last. The task must have the settings of that run.
        overwrite: Start anew even if `output` holds a run.

    Returns:
        Whether this process is the run's first. The others must not evaluate the checkpoint as well.

    Raises:
        TrainingError: There is nothing to resume, a run would be overwritten, the directory cannot be created, a device
            is missing, several processes would each choose their own precision, the loss or its gradient is not finite,
            or no epoch has a dev figure to choose it by.
    """
    prepare(output, resume=resume, overwrite=overwrite)
    loop = task.settings.loop
    torch.set_num_threads(loop.threads)
    # A resumed run keeps its precision: on a busier machine another measurement could choose the other one.
    saved = saved_precision(resume_file(output)) if resume else None
    precision = saved or _choose_precision(loop)
    fabric = make_fabric(loop, precision)
    arguments = (task, output, command, precision, resume, overwrite)
    fabric.launch(_train, *arguments)  # type: ignore[arg-type]  # launch passes further arguments on
    return fabric.is_global_zero


def _choose_precision(loop: LoopSettings) -> Precision:
    if loop.devices > 1 and is_measured(loop.precision, loop.accelerator):
        raise TrainingError(
            "with loop.precision=auto each process could choose another precision: set one, for example "
            "--set loop.precision=32-true"
        )
    return choose_precision(loop.precision, loop.accelerator)


def _train(
    fabric: Fabric,
    task: Task[Any],
    output: Path,
    command: str,
    precision: Precision,
    resume: bool,
    overwrite: bool,
) -> None:
    run = build_run(fabric, task, precision, is_new=not resume)
    if resume:
        run.restore(resume_file(output))
        _keep_best(run, output, command)  # the interruption may have come before it was written
    if overwrite and fabric.is_global_zero:
        remove_run(output)  # only now that data and devices have been found
    log = MetricsLog(output, f"Training of the {task.name} model", task.units)
    try:
        with tqdm(total=run.total_steps, initial=run.progress.step, unit="batch", disable=_is_silent(fabric)) as bar:
            while not run.progress.is_finished(task.settings.loop):
                row = _train_epoch(run, bar)
                evaluate_and_save(run, row, output, command)
                if fabric.is_global_zero:
                    log.write(run.progress.history)
                    bar.write(_describe(run))
            if fabric.is_global_zero and run.meter is not None:
                bar.write(run.meter.describe(_items_per_second_so_far(run, run.meter)))
        if not run.progress.best_epoch:
            raise TrainingError(f"dev {task.goal.metric} was NaN after every epoch: lower loop.learning_rate")
    except BaseException:
        with suppress(OSError):  # if the disk is full, the first error says so
            _close(log, run)
        raise
    _close(log, run)


def _close(log: MetricsLog, run: Run) -> None:
    if run.fabric.is_global_zero:
        log.close(run.progress.history)


def _train_epoch(run: Run, bar: "tqdm[Any]") -> dict[str, float]:
    """Train for one epoch, and return its row of metrics."""
    start = time.perf_counter()
    epoch = run.progress.epoch
    _seed_epoch(run.task.settings.seed, epoch, run.fabric.global_rank)
    run.model.train()
    losses, norms, items, carry = [], [], 0, None
    bar.set_description(f"epoch {epoch + 1}/{run.task.settings.loop.epochs}")
    for batch in run.task.train_batches(epoch):
        if run.meter is None:
            run.meter = _measure(run, batch)
            start = time.perf_counter()
        items += run.task.count_items(batch)
        loss, norm, carry = take_step(run, batch, carry)
        losses.append(loss)
        norms.append(norm)
        bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        bar.update()
    seconds = time.perf_counter() - start
    return {
        "epoch": float(epoch + 1),
        "step": float(run.progress.step),
        "train_loss": torch.tensor(losses).mean().item(),
        "grad_norm": float(np.mean(norms)),
        "learning_rate": learning_rate(run.progress.step - 1, run.total_steps, run.task.settings.loop),
        "seconds": seconds,
        **_speed_row(run, items, seconds),
    }


def _measure(run: Run, batch: Batch) -> Meter:
    """Count the operations of a batch, and measure the machine."""
    rows, _ = shard(run, batch)
    flops_per_item = count_batch(run, rows) / max(run.task.count_items(rows), 1)
    gemm_flops = measure_gemm(run.fabric.device, run.precision)
    return Meter(run.task.throughput_unit, flops_per_item, run.fabric.world_size * gemm_flops)


def _speed_row(run: Run, items: int, seconds: float) -> dict[str, float]:
    if run.meter is None:
        return {}
    items_per_second = items / seconds
    return {
        f"{run.meter.item}s_per_second": items_per_second,
        "gemm_share": run.meter.gemm_share(items_per_second),
    }


def evaluate_and_save(run: Run, row: dict[str, float], output: Path, command: str) -> None:
    """Evaluate on the dev split, then save the checkpoints and what a resumed run needs."""
    progress, goal = run.progress, run.task.goal
    model = run.evaluated.eval()
    with torch.no_grad():
        # All processes use the first one's figures to continue or stop.
        figures = run.fabric.broadcast(run.task.validate(model))
    is_best = goal.is_better(figures, progress.best_figures)
    progress.epoch += 1
    progress.history.append(row | {f"{DEV}{name}": value for name, value in figures.items()})
    if is_best:
        progress.best_epoch = progress.epoch
    if run.fabric.is_global_zero:
        checkpoint.save(output / LAST, run.task, model, command)
    # After an interruption before this line the epoch is repeated. After it, the best checkpoint can be restored.
    run.save(resume_file(output))
    _keep_best(run, output, command)


def _keep_best(run: Run, output: Path, command: str) -> None:
    """Write the best checkpoint if the last epoch is the best one. If it is already there, it keeps its figures."""
    is_due = run.fabric.is_global_zero and run.progress.is_at_best
    if is_due and not checkpoint.holds(output / checkpoint.BEST, run.evaluated):
        checkpoint.save(output / checkpoint.BEST, run.task, run.evaluated, command)


def _items_per_second_so_far(run: Run, meter: Meter) -> float:
    """Return the mean over all epochs of the run, including those before it was resumed."""
    name = f"{meter.item}s_per_second"
    history = [row for row in run.progress.history if name in row]
    return sum(row[name] * row["seconds"] for row in history) / sum(row["seconds"] for row in history)


def _seed_epoch(seed: int, epoch: int, rank: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0]))


def _is_silent(fabric: Fabric) -> bool | None:
    return None if fabric.is_global_zero else True  # None: silent unless stderr is a terminal


def _describe(run: Run) -> str:
    row = run.progress.history[-1]
    shown = {name: value for name, value in row.items() if name not in {"epoch", "step"}}
    mark = " (best so far)" if run.progress.best_epoch == run.progress.epoch else ""
    return f"epoch {run.progress.epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in shown.items()) + mark
