"""The memory limit of this process's control group, which a container's runtime sets: cgroups(7).

Knows no settings and imports nothing large, so that it can be used before anything large is loaded.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

GROUPS = Path("/proc/self/cgroup")
FILES = Path("/sys/fs/cgroup")
# What processes need before a request arrives, somewhat less than was measured (docs/log.md), so that nothing is
# refused that would work. Open rungs take a multiple of a bundle's bytes, depending on what is opened at the start; a
# smaller one if they share their weights.
BYTES_FOR_FIRST_PROCESS = 90 * 2**20
BYTES_FOR_WORKER = 110 * 2**20
TIMES_BUNDLE_BYTES = {"needed": 4.0, "all": 17.0}
TIMES_BUNDLE_BYTES_IF_SHARED = {"needed": 1.5, "all": 4.0}
_NO_LIMIT_BYTES = 2**60
_MEBIBYTE = 2**20


def memory_limit(groups: Path = GROUPS, files: Path = FILES) -> int | None:
    """Return the bytes that all processes of this control group may have together. None if there is no limit."""
    limits = [
        int(text)
        for directory, names in _directories(groups, files)
        if (text := _read(directory / names.limit)) and text.isdecimal()
    ]
    limit = min(limits, default=_NO_LIMIT_BYTES)
    return limit if limit < _NO_LIMIT_BYTES else None


def num_memory_kills(groups: Path = GROUPS, files: Path = FILES) -> int:
    """Return how many processes of this control group the kernel has killed because the limit was reached."""
    events = next(
        (text for directory, names in _directories(groups, files) if (text := _read(directory / names.events))), ""
    )
    counts = dict(line.partition(" ")[::2] for line in events.splitlines())
    return int(counts.get("oom_kill", 0))


def memory_shortage(
    limit: int | None,
    num_workers: int,
    num_bundle_bytes: int,
    open_rungs: str = "needed",
    are_weights_shared: bool = True,
) -> str | None:
    """Return why a limit is too small for this many worker processes, spare ones included. None if it is not."""
    times = TIMES_BUNDLE_BYTES_IF_SHARED if are_weights_shared else TIMES_BUNDLE_BYTES
    num_graph_bytes = int(times[open_rungs] * num_bundle_bytes)
    needed = BYTES_FOR_FIRST_PROCESS + num_workers * (BYTES_FOR_WORKER + num_graph_bytes)
    if limit is None or limit >= needed:
        return None
    return (
        f"the memory limit of {limit // _MEBIBYTE} MiB is too small: {num_workers} worker processes (spare "
        f"ones included) need {needed // _MEBIBYTE} MiB before the first request; raise it, "
        "set UNROLLED_SPARE_WORKERS=0, or serve fewer bundles"
    )


class _Names(NamedTuple):
    """Names of the files in a control group's directory."""

    limit: str
    events: str


_VERSION_1 = _Names("memory.limit_in_bytes", "memory.oom_control")
_VERSION_2 = _Names("memory.max", "memory.events")


def _directories(groups: Path, files: Path) -> Iterator[tuple[Path, _Names]]:
    """Yield the directories of this process's group and of those above. In a container only the topmost may exist."""
    for line in _read(groups).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        names, top = (_VERSION_1, files / "memory") if controllers else (_VERSION_2, files)
        own = Path(path.lstrip("/"))
        for directory in (own, *own.parents):
            yield top / directory, names


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
