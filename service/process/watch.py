"""The first process watches its workers: it ends if none can start, and kills those that hang.

A hung worker keeps its seat (seats.py), and connections of the second port wait for it. A killed one is replaced.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import psutil

from service.process.deaths import has_ended
from service.process.heartbeats import HUNG_SECONDS, Heartbeats
from service.process.memory_limit import memory_limit, num_memory_kills
from service.process.messages import Receiver
from service.process.output import flush_output
from service.process.starts import Starts

logger = logging.getLogger(__name__)

START_POLL_SECONDS = 0.5  # until a worker has been ready
POLL_SECONDS = 2.0


def watch_workers(directory: Path, num_workers: int) -> None:
    """From now on, watch the workers of this process. Linux only.

    Args:
        directory: The service's.
        num_workers: How many there will be, spare ones included.
    """
    if sys.platform == "linux":
        starts = Starts(num_workers, num_memory_kills, memory_limit())
        watched = (Receiver(directory), starts, directory)
        threading.Thread(target=_watch, args=watched, name="watch", daemon=True).start()


def _watch(receiver: Receiver, starts: Starts, directory: Path) -> None:
    heartbeats, first_process = Heartbeats(), psutil.Process()
    scan_at, is_there = 0.0, True
    while True:
        seconds = POLL_SECONDS if starts.has_served else START_POLL_SECONDS
        with suppress(TimeoutError):
            message = receiver.receive(seconds)
            heartbeats.record(message)
            if reason := starts.record(message):
                _end(first_process, reason)
        if time.monotonic() < scan_at:
            continue
        scan_at = time.monotonic() + seconds
        try:
            workers = {child.pid for child in first_process.children()}
        except (psutil.Error, OSError):  # the lists of the kernel change while they are read
            logger.exception("workers could not be listed")
            continue
        if reason := starts.see(workers):
            _end(first_process, reason)
        _kill(workers.intersection(heartbeats.hung()))
        if is_there and not directory.exists():
            is_there = False
            logger.error("%s was removed, so new workers are not watched; restart the service", directory)


def _kill(hung: Iterable[int]) -> None:
    for pid in hung:
        if has_ended(pid):  # and BentoML has not replaced it yet
            continue
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            logger.error("worker process %d had not responded for %g seconds and was killed", pid, HUNG_SECONDS)


def _end(first_process: psutil.Process, reason: str) -> NoReturn:
    """Kill the workers, print the reason last, and end. Sessions are safe in the store."""
    children = first_process.children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=5)
    flush_output()
    sys.stderr.write(f"unrolled: {reason}\n")
    sys.stderr.flush()
    flush_output()
    os._exit(1)
