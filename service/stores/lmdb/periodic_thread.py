"""A thread that does some work every few seconds until it is stopped."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class PeriodicThread:
    """Some work and its thread.

    Args:
        work: Called repeatedly; an exception is logged and does not end the thread.
        seconds: Pause between two calls.
    """

    def __init__(self, work: Callable[[], None], seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread unless it is running."""
        if self._thread is None:
            self._stopped.clear()
            self._thread = threading.Thread(target=self._serve, name="store-sync", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        if self._thread is not None:
            self._stopped.set()
            self._thread.join()
            self._thread = None

    def _serve(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self._work()
            except Exception:
                logger.exception("periodic maintenance of the session store failed; it will be tried again")
