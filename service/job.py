"""A row on its way through one stage of a bundle, with all that goes in and comes out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from service.bundle.manifest import Bundle, Stage, TensorSpec
from service.scheduler import Batch, Job
from service.state import Array, Inputs, RowBatch, RowLayout

LOGITS = "logits"
ARGMAX = "argmax"  # of the logits, taken for the whole batch at once


@dataclass(eq=False)
class RowJob(Job):
    """A job with its tensors.

    Attributes:
        row: The state row; the next one after each run.
        inputs: The stage's inputs without batch axis; those with a time axis have an entry for each item.
        keep: Outputs to answer with; ARGMAX is one where there are logits.
        done: Told once, when all items are through or the job has failed.
        offset: Items that are through.
        error: Why it failed.
        is_withdrawn: Whether nobody waits for it any more; `done` is not told then.
    """

    row: bytes = b""
    inputs: Inputs = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    done: Callable[["RowJob"], None] = lambda _: None
    offset: int = 0
    error: Exception | None = None
    is_withdrawn: bool = False
    waiting_since: float = field(default_factory=time.perf_counter)
    parts: list[dict[str, Array]] = field(default_factory=list)

    def outputs(self, stage: Stage) -> dict[str, Array]:
        """The kept outputs of all runs: joined along time where they have one, else those of the last run."""
        if len(self.parts) == 1:
            return self.parts[0]
        timed = {ARGMAX, *(spec.name for spec in stage.outputs if "T" in spec.shape)}
        return {
            name: np.concatenate([part[name] for part in self.parts]) if name in timed else self.parts[-1][name]
            for name in self.keep
        }


class PreparedBatch:
    """A batch as the graph reads it, and back.

    Attributes:
        batch: The jobs.
        feeds: Every input of the graph, with its batch axis.
        names: The outputs that are needed.
    """

    def __init__(self, batch: Batch[RowJob], stage: Stage, rows: RowBatch) -> None:
        self.batch = batch
        self._stage = stage
        self._rows = rows
        size = batch.lane.size
        self.feeds: dict[str, Array] = {
            **{spec.name: _stacked(batch.jobs, spec, size) for spec in stage.inputs},
            **rows.tensors(stage.reads),
        }
        self._kept = {name for job in batch.jobs for name in job.keep}
        needed = {LOGITS if name == ARGMAX else name for name in self._kept}
        self.names = [*needed, *(f"{name}_next" for name in stage.writes)]

    def take(self, results: Sequence[Array]) -> None:
        """Give each job its next row and the outputs that it keeps."""
        named = dict(zip(self.names, results, strict=True))
        size, jobs = self.batch.lane.size, self.batch.jobs
        if self._stage.writes:
            rows = self._rows.replaced({name: named[f"{name}_next"] for name in self._stage.writes})
            for job, row in zip(jobs, rows, strict=True):
                job.row = row
        now = time.perf_counter()
        kept = self._outputs_by_row(named)
        for index, job in enumerate(jobs):
            if job.keep:
                is_last = job.remaining <= size
                # A view would keep the whole batch alive, so it is only for answers that are due now.
                part = {name: kept[name][index] for name in job.keep}
                job.parts.append(part if is_last else {name: values.copy() for name, values in part.items()})
            job.offset += size
            job.waiting_since = now

    def _outputs_by_row(self, named: Mapping[str, Array]) -> dict[str, Array]:
        axes = {spec.name: spec.batch_axis for spec in self._stage.outputs if spec.name in named}
        outputs = {name: np.moveaxis(named[name], axis, 0) for name, axis in axes.items()}
        if ARGMAX in self._kept:
            outputs[ARGMAX] = outputs[LOGITS].argmax(axis=-1)
        return outputs


class BatchForm:
    """How the jobs of a bundle become batches."""

    def __init__(self, bundle: Bundle) -> None:
        self.stages: dict[str, Stage] = {stage.name: stage for stage in bundle.manifest.stages}
        self._layout = RowLayout(bundle.manifest.state)

    def prepare(self, batch: Batch[RowJob]) -> PreparedBatch:
        """The tensors of a batch."""
        return PreparedBatch(batch, self.stages[batch.lane.stage], self._layout.batch([job.row for job in batch.jobs]))


def _stacked(jobs: Sequence[RowJob], spec: TensorSpec, size: int) -> Array:
    """One input of a batch, of the spec's dtype."""
    if "T" in spec.shape:
        windows = [_window(job.inputs[spec.name], job.offset, size) for job in jobs]
    else:
        windows = [job.inputs[spec.name] for job in jobs]
    if spec.batch_axis:
        return np.stack(windows, axis=spec.batch_axis)
    # One call for all rows, where np.stack takes two for each.
    return np.concatenate(windows, axis=None).reshape(len(jobs), *np.shape(windows[0]))


def _window(values: Array, offset: int, size: int) -> Array:
    """The items of a rung: `size` from `offset` on, filled with zeros where a covering rung is longer."""
    if len(values) == size:
        return values
    window = values[offset : offset + size]
    if len(window) == size:
        return window
    return np.concatenate([window, np.zeros((size - len(window), *values.shape[1:]), dtype=values.dtype)])
