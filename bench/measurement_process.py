"""Runs a measurement in its own process, so that it shares no interpreter lock with what it is compared to."""

import gc
import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")
START_SECONDS = 60
STOP_SECONDS = 5


class MeasurementFailed(Exception):
    """A measurement raised or its process died. The message is its traceback."""


class MeasurementProcess(Generic[T]):
    """Runs a measurement repeatedly in one process, loading only once. Leaving the context ends the process.

    Args:
        make: Called once in the new process. Returns the measurement, which is called with a number of seconds.
        arguments: Arguments of `make`.
    """

    def __init__(self, make: Callable[..., Callable[[float], T]], *arguments: Any) -> None:  # noqa: ANN401  anything that can be pickled
        self._make = make
        self._arguments = arguments

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._make, self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._receive(START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.join(STOP_SECONDS if error is None else 0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def run(self, seconds: float) -> T:
        """Measure for `seconds`.

        Raises:
            MeasurementFailed: The measurement raised, or its process died.
        """
        self._connection.send(seconds)
        result: T = self._receive(10 * seconds + START_SECONDS)
        return result

    def _receive(self, timeout_seconds: float) -> Any:  # noqa: ANN401  what the other end sent
        try:
            if not self._connection.poll(timeout_seconds):
                raise MeasurementFailed(f"{self._make.__name__} does not answer for {timeout_seconds:.0f} s")
            result, failure = self._connection.recv()
        except EOFError:
            raise MeasurementFailed(f"the process of {self._make.__name__} died") from None
        if failure is not None:
            raise MeasurementFailed(failure)
        return result


def _serve(connection: Connection, make: Callable[..., Callable[[float], T]], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it closes the connection
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        measure = make(*arguments)
        gc.freeze()
        gc.disable()  # a collection would look like the service's latency, and nothing measured makes cycles
        connection.send((None, None))
        while True:
            connection.send((measure(connection.recv()), None))
    except (EOFError, BrokenPipeError):
        pass
    except Exception:  # reported to the parent process
        connection.send((None, traceback.format_exc()))
