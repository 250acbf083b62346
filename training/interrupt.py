"""Ctrl-C while a command line imports modules, of which some answer a KeyboardInterrupt with errors of their own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process without Python's part in it, unless it is ignored, as in a shell's background jobs."""
    inherited = signal.getsignal(signal.SIGINT)
    if inherited is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, inherited)
