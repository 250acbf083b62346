"""Deaths of workers: the first process logs what ended each, since BentoML only starts another."""

import logging
import os
import signal
import sys
import threading
import time

import psutil

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
_ASKED = (signal.SIGTERM, signal.SIGINT)


def watch_deaths() -> None:
    """Log deaths of this process's children from now on. Linux only."""
    if sys.platform == "linux":
        threading.Thread(target=_watch, name="deaths", daemon=True).start()


def told(pid: int, reason: int, status: int) -> str:
    """Say how a process ended.

    Args:
        pid: Its id.
        reason: `si_code` of waitid(2).
        status: A signal, or an exit status.

    Returns:
        A sentence. Empty if it was asked to end.
    """
    if reason == os.CLD_EXITED:
        return f"worker process {pid} has ended with status {status}" if status else ""
    return "" if status in _ASKED else f"worker process {pid} was killed by {signal.Signals(status).name}"


def _watch() -> None:
    known: set[int] = set()
    parent = psutil.Process()
    while True:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # BentoML's own wait finds them, too
        except ChildProcessError:  # there are none yet
            known.clear()
        else:
            children = {child.pid for child in parent.children()}
            known &= children
            for pid in children - known:
                if _tell(pid):
                    known.add(pid)
        time.sleep(LOOK_SECONDS)


def _tell(pid: int) -> bool:
    """Log the end of a child. Returns whether it has ended."""
    try:
        death = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:  # gone
        return False
    if death is None:
        return False
    if words := told(pid, death.si_code, death.si_status):
        logger.warning("%s; another takes its place", words)
    return True
