"""A runtime whose runs wait for a test."""

import threading
from collections.abc import Mapping, Sequence

from service.engine.job import BatchBuilder
from service.engine.runtime import Runtime
from service.engine.state import Array


class GatedRuntime:
    """The shipped model, whose runs that generate a text need a permit each, once they are counted."""

    def __init__(self, runtime: Runtime) -> None:
        self.bundle = runtime.bundle
        self._runtime = runtime
        self._permits = threading.Semaphore(1_000_000)
        self.num_begun = 0

    def permit(self, num_runs: int) -> None:
        """Let so many runs pass and no more, until `open`."""
        self._permits = threading.Semaphore(num_runs)

    def open(self) -> None:
        """Let all runs pass."""
        self._permits.release(1000)

    def run(self, stage: str, rung: int, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        if stage == "decode":
            self.num_begun += 1
            assert self._permits.acquire(timeout=10)
        return self._runtime.run(stage, rung, feeds, names)


class GatedBuilder(BatchBuilder):
    """Batches of a runtime that waits, which it may not do on the event loop."""

    may_run_inline = False
