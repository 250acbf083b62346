"""What Linux tells of processes: families, processor time, memory."""

from pathlib import Path

PROC = Path("/proc")


def descendants(pid: int) -> list[int]:
    """Children, their children and so on."""
    found: list[int] = []
    for children in PROC.glob(f"{pid}/task/*/children"):
        try:
            own = [int(child) for child in children.read_text().split()]
        except OSError:  # the thread ended meanwhile
            continue
        found += own + [each for child in own for each in descendants(child)]
    return found


def heaviest(pid: int) -> int:
    """Of a process and its descendants the one that has used the most processor time."""
    return max([pid, *descendants(pid)], key=cpu_ticks)


def cpu_ticks(pid: int) -> int:
    """Processor time used, in clock ticks."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def anonymous_bytes(pid: int) -> int:
    """Resident memory that is the process's own: neither files nor a store that is mapped."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"the kernel does not tell RssAnon of {pid}")
