"""Families of processes, their processor time and their memory."""

import psutil


def descendants(pid: int) -> list[int]:
    """The ids of a process's children, their children and so on. Empty if the process is gone."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def heaviest(pid: int) -> int:
    """Return the process, or its descendant, that has used the most processor time."""
    return max([pid, *descendants(pid)], key=cpu_seconds)


def cpu_seconds(pid: int) -> float:
    """Processor time used, in seconds. 0 for a process that is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def anonymous_bytes(pid: int) -> int:
    """Resident memory that is the process's own: neither files nor a store that is mapped. Linux only."""
    memory = psutil.Process(pid).memory_info()
    return int(memory.rss - memory.shared)
