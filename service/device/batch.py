"""Batches for a device runtime, which takes and returns whole rows of state."""

from collections.abc import Iterable, Mapping, Sequence

from service.bundle.stage import Stage
from service.device.runtime import ROW, DeviceRuntime, as_array
from service.engine.job import BatchBuilder, PreparedBatch, RowJob, StageLayout
from service.engine.scheduler import Batch
from service.engine.state import Array


class WholeRows:
    """The rows of a batch, as an array of bytes objects."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self._rows = as_array(rows)

    def tensors(self, names: Iterable[str]) -> dict[str, Array]:
        """Return the rows under the name ROW: an array of bytes objects (N,)."""
        return {ROW: self._rows}

    def replaced(self, tensors: Mapping[str, Array], widths: Sequence[int]) -> Sequence[bytes]:
        """Return the rows after a run, one per job."""
        rows: list[bytes] = tensors[ROW].tolist()
        return rows


class DeviceBatchBuilder(BatchBuilder):
    """How the jobs of a bundle become batches of a device runtime."""

    may_run_inline = False  # a provider's recording belongs to the engine's thread
    takes_wide_jobs = False  # the cache holds single rows

    def __init__(self, runtime: DeviceRuntime) -> None:
        super().__init__(runtime.bundle)
        self._runtime = runtime
        self._whole_row_layouts = {name: StageLayout(_of_whole_rows(stage)) for name, stage in self.stages.items()}

    def prepare(self, batch: Batch[RowJob]) -> PreparedBatch:
        """Return the tensors of a batch."""
        return PreparedBatch(
            batch, self._whole_row_layouts[batch.lane.stage], WholeRows([job.row for job in batch.jobs])
        )

    def warm_up(self) -> None:
        """Run every rung once; see `DeviceRuntime.warm_up`."""
        self._runtime.warm_up()


def _of_whole_rows(stage: Stage) -> Stage:
    """Return the stage with the row as its only state tensor."""
    return stage.model_copy(update={"reads": (ROW,), "writes": (ROW,) if stage.writes else ()})
