"""The training loop of every task: batches in, checkpoints out. It knows a task by `Task` alone; tasks know no loop.

A run is a function of its settings: batches depend on (seed, epoch), and torch's generator is seeded anew for each
epoch from (seed, epoch, rank). The run is saved after every epoch, so one that is interrupted and resumed repeats at
most a part of an epoch and ends in the same weights, bit for bit, on the same machine.

    output/best/        checkpoint of the best epoch, by the task's goal on the dev split
    output/last/        checkpoint of the last whole epoch, with resume.ckpt: weights, optimizer, average, progress
    output/metrics.csv, output/tensorboard/, output/curves.png
"""

import math
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils._pytree import tree_leaves, tree_map_only
from tqdm import tqdm  # type: ignore[import-untyped]

from training import checkpoint
from training.precision import chosen
from training.record import Record
from training.schedule import learning_rate
from training.settings import LoopSettings
from training.tasks.task import Batch, Carry, Task
from training.throughput import Meter, Speed, count_flops, measure_gemm

RESUME = "resume.ckpt"


class TrainingError(Exception):
    """A run that cannot start or go on, and why."""


@dataclass
class Progress:
    """How far a run is; saved and restored with the weights.

    Args:
        epoch: Whole epochs done.
        step: Optimizer steps taken.
        best: Best value of the task's goal so far.
        best_epoch: The epoch of that value, from 1.
        history: One row of metrics for each epoch.
    """

    epoch: int = 0
    step: int = 0
    best: float | None = None
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def is_finished(self, loop: LoopSettings) -> bool:
        """Whether all epochs are done, or too many have passed without a better dev figure."""
        has_lost_patience = loop.patience is not None and self.epoch - self.best_epoch >= loop.patience
        return self.epoch >= loop.epochs or has_lost_patience


@dataclass
class Run:
    """Everything that a running training holds."""

    fabric: Fabric
    task: Task[Any]
    model: Any  # Fabric's wrapper of the task's model
    optimizer: Optimizer
    average: AveragedModel | None
    progress: Progress
    total_steps: int
    meter: Meter | None = None  # from the first batch on

    @property
    def evaluated(self) -> nn.Module:
        """The model whose figures count: the averaged one, if weights are averaged."""
        module: nn.Module = self.model.module if self.average is None else self.average.module
        return module

    def save(self, path: Path) -> None:
        """Write all that a resumed run needs into one file, whole or not at all."""
        part = path.with_name(path.name + ".part")
        self.fabric.save(part, self._trained() | {"progress": asdict(self.progress)})
        if self.fabric.is_global_zero:
            part.replace(path)

    def restore(self, path: Path) -> None:
        """Go back to what `save` has written."""
        saved = self._trained() | {"progress": None}
        self.fabric.load(path, saved, weights_only=True)
        self.progress = Progress(**saved["progress"])

    def _trained(self) -> dict[str, Any]:
        """Fabric saves and restores the state of each of these."""
        parts = {"model": self.model, "optimizer": self.optimizer}
        return parts if self.average is None else parts | {"average": self.average}


def train(task: Task[Any], output: Path, command: str, *, resume: bool = False, overwrite: bool = False) -> None:
    """Train a task from its settings; leaves the best and the last checkpoint in `output`.

    Args:
        task: Supplies data, model, loss and metric.
        output: Directory of the run.
        command: What the user typed, kept in the checkpoints.
        resume: Go on from output/last; everything else must be as it was.
        overwrite: Start anew even if `output` holds a run.

    Raises:
        TrainingError: Nothing to resume, a run that would be overwritten, a device that is not there, or a loss that is
            no number.
    """
    _prepare(output, resume, overwrite)
    loop = task.settings.loop
    torch.set_num_threads(loop.threads)
    fabric = make_fabric(loop)
    fabric.launch(_train, task, output, command, resume)  # type: ignore[arg-type]  # it passes more arguments on


def make_fabric(loop: LoopSettings) -> Fabric:
    """The devices that the settings ask for.

    Raises:
        TrainingError: They are not there.
    """
    try:
        return Fabric(
            accelerator=loop.accelerator,
            devices=loop.devices,
            strategy=loop.strategy,
            precision=chosen(loop.precision, loop.accelerator),
        )
    except (ImportError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"loop.accelerator={loop.accelerator}, loop.devices={loop.devices}, loop.strategy={loop.strategy} "
            f"cannot be had here: {error}"
        ) from error


def _prepare(output: Path, resume: bool, overwrite: bool) -> None:
    """Check that the directory of the run is as the user believes it to be, and clear it where they said so."""
    has_run = (output / "last" / RESUME).is_file()
    if resume and not has_run:
        raise TrainingError(f"nothing to resume: {output / 'last' / RESUME} does not exist")
    if has_run and not resume and not overwrite:
        raise TrainingError(f"{output} holds a run: go on with --resume, start anew with --overwrite, or name another")
    if overwrite:
        for part in ("best", "last", "tensorboard"):
            shutil.rmtree(output / part, ignore_errors=True)


def _train(fabric: Fabric, task: Task[Any], output: Path, command: str, resume: bool) -> None:
    run = set_up(fabric, task)
    if resume:
        run.restore(output / "last" / RESUME)
    record = Record(output, f"Training of the {task.name} model", task.units)
    try:
        with tqdm(total=run.total_steps, initial=run.progress.step, unit="batch", disable=_is_silent(fabric)) as bar:
            while not run.progress.is_finished(task.settings.loop):
                row = _train_epoch(run, bar)
                _finish_epoch(run, row, output, command)
                if fabric.is_global_zero:
                    record.write(run.progress.history)
                    bar.write(_describe(run))
            if fabric.is_global_zero and run.meter is not None:
                bar.write(str(_speed_so_far(run, run.meter)))
    finally:
        if fabric.is_global_zero:
            record.close(run.progress.history)


def set_up(fabric: Fabric, task: Task[Any]) -> Run:
    """A run that has learnt nothing yet."""
    loop = task.settings.loop
    fabric.seed_everything(task.settings.seed, verbose=False)
    model = task.build_model()
    task.initialise(model)
    optimizer = AdamW(_parameter_groups(model, task), lr=loop.learning_rate, fused=True)
    model, optimizer = fabric.setup(model, optimizer)
    average = None
    if loop.ema_decay is not None:
        average = AveragedModel(model.module, multi_avg_fn=get_ema_multi_avg_fn(loop.ema_decay))  # type: ignore[no-untyped-call]
    return Run(fabric, task, model, optimizer, average, Progress(), loop.epochs * task.batches_per_epoch())


def _parameter_groups(model: nn.Module, task: Task[Any]) -> list[dict[str, Any]]:
    """Parameters by the share of the learning rate that they learn with, matrices apart from vectors."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault((task.learning_rate_scale(name), parameter.ndim >= 2), []).append(parameter)
    decay = task.settings.loop.weight_decay
    return [
        {"params": parameters, "weight_decay": decay if is_matrix else 0.0, "scale": scale}
        for (scale, is_matrix), parameters in sorted(groups.items(), key=lambda group: group[0], reverse=True)
    ]


def _train_epoch(run: Run, bar: "tqdm[Any]") -> dict[str, float]:
    """Take the steps of one epoch; returns its row of metrics."""
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
    """Count the work of a batch, and measure the machine."""
    rows, _ = _deal(run, batch)
    flops_per_item = count_batch(run, rows) / max(run.task.count_items(rows), 1)
    loop = run.task.settings.loop
    gemm_flops = measure_gemm(run.fabric.device, chosen(loop.precision, loop.accelerator))
    return Meter(run.task.item, flops_per_item, run.fabric.world_size * gemm_flops)


def count_batch(run: Run, batch: Batch) -> int:
    """Floating-point operations of the matrix products of a step; nothing is learnt."""

    def passes() -> None:
        loss, _ = run.task.loss(run.model, run.fabric.to_device(batch), None)
        run.fabric.backward(loss)

    flops = count_flops(passes)
    run.optimizer.zero_grad()
    return flops


def _speed_row(run: Run, items: int, seconds: float) -> dict[str, float]:
    if run.meter is None:
        return {}
    speed = run.meter.read(items, seconds)
    return {f"{run.task.item}s_per_second": speed.items_per_second, "gemm_share": speed.gemm_share}


def take_step(run: Run, batch: Batch, carry: Carry) -> tuple[float, float, Carry]:
    """One optimizer step of all processes together.

    Returns:
        The loss of the whole batch, the gradient's norm before clipping, and the detached carry of this process's rows.

    Raises:
        TrainingError: The loss is no number; in every process, whichever of them it comes from.
    """
    loop = run.task.settings.loop
    for group in run.optimizer.param_groups:
        group["lr"] = group["scale"] * learning_rate(run.progress.step, run.total_steps, loop)
    rows, weight = _deal(run, batch)
    own_loss, carry = run.task.loss(run.model, run.fabric.to_device(rows), carry)
    run.fabric.backward(own_loss * weight)  # processes average their gradients
    counted = own_loss.detach() * weight if weight else torch.zeros_like(own_loss)  # of no targets, a mean is no number
    loss = torch.as_tensor(run.fabric.all_reduce(counted, reduce_op="mean")).item()
    norm = run.fabric.clip_gradients(run.model, run.optimizer, max_norm=loop.clip_grad_norm, error_if_nonfinite=False)
    if not math.isfinite(loss):
        raise TrainingError(f"loss is {loss} at step {run.progress.step}: lower loop.learning_rate")
    run.optimizer.step()
    run.optimizer.zero_grad()
    if run.average is not None:
        run.average.update_parameters(run.model.module)
    run.progress.step += 1
    return loss, float(norm or 0.0), detach(carry)


def detach(carry: Carry) -> Carry:
    """Cut the carried state from the graph of the steps before: truncated backpropagation through time."""
    return tree_map_only(Tensor, Tensor.detach, carry)


def _deal(run: Run, batch: Batch) -> tuple[Batch, float]:
    """This process's rows of a batch, and their weight: the mean of all processes is then the loss of the batch."""
    rank, processes = run.fabric.global_rank, run.fabric.world_size
    if processes == 1:
        return batch, 1.0
    if rank >= _num_rows(batch):
        return tree_map_only(Tensor, lambda rows: rows[:1], batch), 0.0  # all must take part in a step
    dealt = tree_map_only(Tensor, lambda rows: rows[rank::processes], batch)
    return dealt, processes * run.task.share(dealt, batch)


def _num_rows(batch: Batch) -> int:
    return next(len(leaf) for leaf in tree_leaves(batch) if isinstance(leaf, Tensor))


def _finish_epoch(run: Run, row: dict[str, float], output: Path, command: str) -> None:
    """Evaluate on the dev split, and save what a resumed run needs."""
    progress, goal = run.progress, run.task.goal
    model = run.evaluated.eval()
    with torch.no_grad():
        # All processes go on or stop by the figures of one.
        figures = run.fabric.broadcast(run.task.calibrate(model))
    progress.epoch += 1
    progress.history.append(row | {f"dev_{name}": value for name, value in figures.items()})
    is_best = goal.is_better(figures[goal.metric], progress.best)
    if is_best:
        progress.best, progress.best_epoch = figures[goal.metric], progress.epoch
    if run.fabric.is_global_zero:
        if is_best:
            checkpoint.save(output / "best", run.task, model, command)
        checkpoint.save(output / "last", run.task, model, command)
    # Saved last and whole: an interruption before this line repeats the epoch, with the same result.
    run.save(output / "last" / RESUME)


def _speed_so_far(run: Run, meter: Meter) -> Speed:
    """The speed over all epochs of the run, also those before it was resumed."""
    name = f"{meter.item}s_per_second"
    history = [row for row in run.progress.history if name in row]
    return meter.read(sum(row[name] * row["seconds"] for row in history), sum(row["seconds"] for row in history))


def _seed_epoch(seed: int, epoch: int, rank: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0]))


def _is_silent(fabric: Fabric) -> bool | None:
    return None if fabric.is_global_zero else True  # None: silent unless a person is watching


def _describe(run: Run) -> str:
    row = run.progress.history[-1]
    shown = {name: value for name, value in row.items() if name not in {"epoch", "step"}}
    mark = " (best so far)" if run.progress.best_epoch == run.progress.epoch else ""
    return f"epoch {run.progress.epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in shown.items()) + mark
