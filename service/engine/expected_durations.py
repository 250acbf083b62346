"""How long runs take, learnt as they are made."""

from service.engine.job import RowJob
from service.engine.scheduler import Batch


class ExpectedDurations:
    """How long a run of a rung with so many rows takes, learnt from those that were."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int, int], float] = {}

    def seconds(self, batch: Batch[RowJob]) -> float:
        """The expected duration; infinite for what was never run."""
        return self._seconds.get((*batch.lane, batch.num_rows), float("inf"))

    def learn(self, batch: Batch[RowJob], seconds: float) -> None:
        """Exponential moving average, alpha = 1/8."""
        key = (*batch.lane, batch.num_rows)
        self._seconds[key] = self._seconds.get(key, seconds) * 0.875 + seconds * 0.125
