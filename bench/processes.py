"""Process trees, their processor time and memory."""

import contextlib
from collections.abc import Iterable

import psutil


def descendants(pid: int) -> list[int]:
    """Return the ids of a process's children, their children and so on. Empty if the process is gone."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def busiest(pid: int) -> int:
    """Return the process, or its descendant, that has used the most processor time."""
    return max([pid, *descendants(pid)], key=cpu_seconds)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process in seconds. 0 if it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def wait_for_end(pids: Iterable[int], seconds: float) -> None:
    """Wait until processes have ended, but not for ever."""
    running = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            running.append(psutil.Process(pid))
    psutil.wait_procs(running, seconds)


def anonymous_bytes(pid: int) -> int:
    """Return a process's own resident memory, without mapped files such as the store. Linux only."""
    memory = psutil.Process(pid).memory_info()
    return int(memory.rss - memory.shared)
