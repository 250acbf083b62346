"""How the commands of this package end: whatever interrupts one, the servers that it started are stopped."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130  # what a shell reports of a program ended by Ctrl-C


def run_command(run: Callable[[], int]) -> int:
    """Run a command. SIGTERM and SIGHUP end it as Ctrl-C does, without a traceback.

    Returns:
        The exit status of the command, or INTERRUPTED.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return run()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
