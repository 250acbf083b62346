"""Runs this package's commands so that the servers that they start are stopped, whatever interrupts them."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C


def run_command(run: Callable[[], int]) -> int:
    """Run a command. SIGTERM and SIGHUP end it like Ctrl-C, without a traceback.

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
