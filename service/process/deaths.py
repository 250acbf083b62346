"""Deaths of workers: the first process logs what ended each one, since BentoML only starts another."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import psutil

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
_ASKED = (signal.SIGTERM, signal.SIGINT)


def watch_deaths(on_death: Callable[[], None]) -> None:
    """From now on, log deaths of this process's children. Linux only.

    Args:
        on_death: Called after one or several deaths.
    """
    if sys.platform == "linux":
        threading.Thread(target=_watch, args=(on_death,), name="deaths", daemon=True).start()


def living_children() -> set[int]:
    """Return the ids of this process's children that have not ended."""
    return {child.pid for child in psutil.Process().children() if not has_ended(child.pid)}


def has_ended(pid: int) -> bool:
    """Return whether a child of this process has ended and was not waited for yet."""
    return _death_of(pid) is not None


def describe(pid: int, reason: int, status: int) -> str:
    """Describe how a process ended.

    Args:
        pid: Its id.
        reason: `si_code` of waitid(2).
        status: A signal, or an exit status.

    Returns:
        A sentence. Empty if it was asked to end.
    """
    if reason == os.CLD_EXITED:
        return f"worker process {pid} has ended with status {status}" if status else ""
    return "" if status in _ASKED else f"worker process {pid} was killed by {_name(status)}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _watch(on_death: Callable[[], None]) -> None:
    known: set[int] = set()
    while True:
        try:
            death = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # WNOWAIT leaves it for BentoML's own wait
        except ChildProcessError:  # no children yet
            known.clear()
        else:
            try:
                known, before = _log_deaths(known, death), known
                if known - before:
                    on_death()
            except Exception:  # whatever it is, deaths must be watched
                logger.exception("cleaning up after workers that ended failed")
        time.sleep(POLL_SECONDS)


def _log_deaths(known: set[int], death: os.waitid_result | None) -> set[int]:
    """Log one death, and those of all other children that have ended meanwhile.

    Args:
        known: Ids of those that are logged already.
        death: That of any child.

    Returns:
        Ids of those that are logged and not waited for yet.
    """
    deaths = [death, *(_death_of(child.pid) for child in psutil.Process().children())]
    ended = {each.si_pid: each for each in deaths if each is not None}
    for pid in ended.keys() - known:
        if description := describe(pid, ended[pid].si_code, ended[pid].si_status):
            logger.warning("%s", description)
    return set(ended)


def _death_of(pid: int) -> os.waitid_result | None:
    """Return how a child has ended. None if it has not, or was waited for."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return None
