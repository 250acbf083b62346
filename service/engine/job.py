"""Jobs with their tensors: one row, or several that go together, on their way through a stage of a bundle."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from service.bundle.manifest import Bundle
from service.bundle.stage import Stage, TensorSpec
from service.engine.scheduler import Batch, Job, Lane, num_rows
from service.engine.state import Array, Inputs, RowLayout, axis_orders

LOGITS = "logits"
ARGMAX = "argmax"  # of the logits, taken for the whole batch at once


def _ignore(job: "RowJob") -> None:
    """Do nothing, for a job without an owner."""


@dataclass(eq=False)
class RowJob(Job):
    """A job with its tensors, which have N in front if it has several rows, and no batch axis if it has one.

    Attributes:
        row: The state row, or the concatenated rows. Each run replaces it with the next one.
        inputs: The stage's inputs, of the manifest's dtypes. Those with a time axis have an entry for each item.
        keep: Names of the outputs to keep. May include ARGMAX if the stage has logits.
        on_done: Called once, when all items are consumed or the job has failed.
        on_run: Called after each run that leaves items to consume.
        offset: Number of items consumed.
        error: Why it failed.
        is_withdrawn: Whether nobody waits for it any more. `on_done` is then not called.
        waiting_since: When it was created or its last run ended, by the performance counter, in seconds.
        num_items: Number of its items, consumed or not. Its inputs may have more, to be consumed if it is extended.
        parts: The kept outputs of each run.
        rows: The state row after each run; None if only the last one is wanted.
    """

    row: bytes = b""
    inputs: Inputs = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    on_done: Callable[["RowJob"], None] = _ignore
    on_run: Callable[["RowJob"], None] | None = None
    offset: int = 0
    error: Exception | None = None
    is_withdrawn: bool = False
    waiting_since: float = field(default_factory=time.perf_counter)
    parts: list[dict[str, Array]] = field(default_factory=list)
    rows: list[bytes] | None = None
    num_items: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_items = self.offset + self.remaining

    @property
    def is_over(self) -> bool:
        """Whether it has failed, or nobody waits for it any more."""
        return self.error is not None or self.is_withdrawn

    def extend(self, num_items: int) -> bool:
        """Let it consume so many more of its inputs' items. Returns False if it is over or done, and so cannot."""
        if self.is_over or not self.remaining:
            return False
        self.remaining += num_items
        self.num_items += num_items
        return True

    def drop_callbacks(self) -> None:
        """Drop the callbacks: nobody is notified from now on."""
        self.on_done, self.on_run = _ignore, None

    def outputs(self, stage: Stage) -> dict[str, Array]:
        """Return the kept outputs of all runs.

        Returns:
            By name, without a batch axis, or with N in front if the job has several rows. Outputs with a time axis are
            joined along it and cover all items; ARGMAX is int64. The others are those of the last run.
        """
        if len(self.parts) == 1:
            return self.parts[0]
        timed = {ARGMAX, *(spec.name for spec in stage.outputs if "T" in spec.shape)}
        time_axis = 0 if self.width == 1 else 1
        return {
            name: np.concatenate([part[name] for part in self.parts], time_axis)
            if name in timed
            else self.parts[-1][name]
            for name in self.keep
        }


class StageLayout:
    """What all batches of a stage have in common.

    Attributes:
        stage: The stage.
        next_names: The state tensor's name, for each output that is a tensor's next value.
        output_orders: For each output, the order of axes that moves N to the front.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.next_names = {f"{name}_next": name for name in stage.writes}
        self.output_orders = {spec.name: axis_orders(spec)[1] for spec in stage.outputs}

    def needed(self, kept: Iterable[str]) -> list[str]:
        """Return the names of the graph outputs needed by a batch whose jobs keep these outputs."""
        return [*{LOGITS if name == ARGMAX else name for name in kept}, *self.next_names]

    def by_row(self, named: Mapping[str, Array], kept: Iterable[str]) -> dict[str, Array]:
        """Return the graph's outputs with N in front, and ARGMAX if it is kept.

        Args:
            named: The graph's outputs, of the manifest's shapes and dtypes.
            kept: Names of the outputs to keep.

        Returns:
            By name, (N, ...); ARGMAX is int64 (N, T), of logits (N, T, V).
        """
        rows = {name: named[name].transpose(self.output_orders[name]) for name in self.output_orders if name in named}
        if ARGMAX in kept:
            rows[ARGMAX] = rows[LOGITS].argmax(axis=-1)
        return rows


class Rows(Protocol):
    """The state rows of a batch, for instance a RowBatch."""

    def tensors(self, names: Iterable[str]) -> dict[str, Array]:
        """Return the named state tensors, with their batch axis."""

    def replaced(self, tensors: Mapping[str, Array], widths: Sequence[int]) -> Sequence[bytes]:
        """Return the rows with these tensors replaced, joined per job; `widths` has the number of rows of each job."""


class PreparedBatch:
    """A batch as the graph reads it. Hands the graph's results back to the jobs.

    Attributes:
        batch: The jobs.
        feeds: Every input of the graph, with its batch axis.
        names: Names of the outputs that the graph must return.

    Args:
        batch: The jobs.
        layout: What all batches of the stage have in common.
        rows: The state rows before the run, or before an earlier run of the same batch.
        states: The state tensors before the run, with their batch axis; None for those of `rows`.
        offsets: Number of items that each job has consumed before the run; None for those that it has consumed by now.
    """

    def __init__(
        self,
        batch: Batch[RowJob],
        layout: StageLayout,
        rows: Rows,
        states: Mapping[str, Array] | None = None,
        offsets: Sequence[int] | None = None,
    ) -> None:
        self.batch = batch
        self._layout = layout
        self._rows = rows
        self._offsets = [job.offset for job in batch.jobs] if offsets is None else offsets
        self.feeds: dict[str, Array] = rows.tensors(layout.stage.reads) if states is None else dict(states)
        for spec in layout.stage.inputs:
            self.feeds[spec.name] = _stacked(batch.jobs, self._offsets, spec, batch.lane.rung)
        self._kept = {name for job in batch.jobs for name in job.keep}
        self.names = layout.needed(self._kept)

    @property
    def num_left(self) -> int:
        """The largest number of items that a job has left after the run; 0 or less if there are none."""
        after = self.batch.lane.rung
        return max([job.num_items - offset - after for job, offset in zip(self.batch.jobs, self._offsets, strict=True)])

    def following(self, rung: int, results: Sequence[Array]) -> "PreparedBatch":
        """Return the next run of the same jobs. It may be called in any thread, before the results are applied.

        Args:
            rung: T of the next run.
            results: The outputs in `names`.
        """
        named = dict(zip(self.names, results, strict=True))
        states = {name: named.get(f"{name}_next", self.feeds[name]) for name in self._layout.stage.reads}
        batch = Batch(Lane(self.batch.lane.stage, rung), self.batch.jobs)
        offsets = [offset + self.batch.lane.rung for offset in self._offsets]
        return PreparedBatch(batch, self._layout, self._rows, states, offsets)

    def apply(self, results: Sequence[Array]) -> None:
        """Give each job its next row and the outputs that it keeps.

        If this fails, no job has changed: one with its next row but the old offset would consume its items twice.

        Args:
            results: The outputs in `names`.
        """
        named = dict(zip(self.names, results, strict=True))
        taken = list(zip(self.batch.jobs, self._next_rows(named), self._kept_parts(named), strict=True))
        rung, now = self.batch.lane.rung, time.perf_counter()
        for job, row, part in taken:
            job.row = row
            job.offset += rung
            job.waiting_since = now
            if job.keep:
                job.parts.append(part)
            if job.rows is not None:
                job.rows.append(row)

    def _next_rows(self, named: Mapping[str, Array]) -> Sequence[bytes]:
        next_names = self._layout.next_names
        if not next_names:
            return [job.row for job in self.batch.jobs]
        widths = [job.width for job in self.batch.jobs]
        return self._rows.replaced({state: named[name] for name, state in next_names.items()}, widths)

    def _kept_parts(self, named: Mapping[str, Array]) -> Sequence[dict[str, Array]]:
        """Return the part of the run's outputs that each job keeps."""
        if not self._kept:
            return [{}] * len(self.batch.jobs)
        outputs = self._layout.by_row(named, self._kept)
        rung, start = self.batch.lane.rung, 0
        parts: list[dict[str, Array]] = []
        for job in self.batch.jobs:
            own = start if job.width == 1 else slice(start, start + job.width)
            start += job.width
            if job.remaining <= rung:
                parts.append({name: outputs[name][own] for name in job.keep})
            else:  # a view would keep the whole batch alive, which is acceptable only for a job that ends now
                parts.append({name: outputs[name][own].copy() for name in job.keep})
        return parts


class BatchBuilder:
    """How the jobs of a bundle become batches.

    Attributes:
        stages: The bundle's stages, by name.
        may_run_inline: Whether a short run may happen on the event loop instead of the engine's thread.
        takes_wide_jobs: Whether a job may have several rows.
    """

    may_run_inline = True
    takes_wide_jobs = True

    def __init__(self, bundle: Bundle) -> None:
        self.stages: dict[str, Stage] = {stage.name: stage for stage in bundle.manifest.stages}
        self._stage_layouts = {name: StageLayout(stage) for name, stage in self.stages.items()}
        self._row_layout = RowLayout(bundle.manifest.state)

    def prepare(self, batch: Batch[RowJob]) -> PreparedBatch:
        """Return the tensors of a batch."""
        rows = self._row_layout.batch([job.row for job in batch.jobs], batch.num_rows)
        return PreparedBatch(batch, self._stage_layouts[batch.lane.stage], rows)

    def warm_up(self) -> None:
        """Prepare for the first run. The engine's thread calls this once."""


def _stacked(jobs: Sequence[RowJob], offsets: Sequence[int], spec: TensorSpec, rung: int) -> Array:
    """Return one input of a batch, of the spec's dtype; if it has a time axis, from each job's offset on."""
    if "T" in spec.shape:
        windows = [_windows(job, job.inputs[spec.name], start, rung) for job, start in zip(jobs, offsets, strict=True)]
    else:
        windows = [job.inputs[spec.name] for job in jobs]
    if len(windows) == 1 and jobs[0].width == 1:  # np.expand_dims takes twenty times as long
        return windows[0][None] if not spec.batch_axis else np.expand_dims(windows[0], spec.batch_axis)
    # One call for all rows, where np.stack makes two for each.
    row_shape = np.shape(windows[0])[int(jobs[0].width > 1) :]
    rows = windows[0] if len(windows) == 1 else np.concatenate(windows, axis=None).reshape(num_rows(jobs), *row_shape)
    return np.ascontiguousarray(np.moveaxis(rows, 0, spec.batch_axis)) if spec.batch_axis else rows


def _windows(job: RowJob, values: Array, offset: int, rung: int) -> Array:
    """Return the items that a run consumes, for each row of a job."""
    if job.width == 1:
        return _window(values, offset, rung)
    if values.shape[1] == rung and not offset:
        return values
    return np.stack([_window(row, offset, rung) for row in values])


def _window(values: Array, offset: int, rung: int) -> Array:
    """Return the `rung` items from `offset` on, padded with zeros if there are fewer."""
    if len(values) == rung and not offset:
        return values
    window = values[offset : offset + rung]
    if len(window) == rung:
        return window
    return np.concatenate([window, np.zeros((rung - len(window), *values.shape[1:]), dtype=values.dtype)])
