"""SIGTERM as an exception, so that it leaves no unfinished bundle behind."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM has arrived."""


@contextmanager
def raising_terminated() -> Iterator[None]:
    """Let SIGTERM raise Terminated. Where it is ignored, or handled by the caller, that stays as it is."""
    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(_: int, __: FrameType | None) -> NoReturn:
    raise Terminated
