"""The files in which prometheus_client keeps what the processes of a service count.

BentoML empties its own directory for them at every start, even a refused one, while another service may count there. So
they are in the service's own directory. The counts of ended processes are added up in files named ENDED, or each death
would make every scrape slower.
"""

import fcntl
import json
import os
import sys
from collections.abc import Callable, Container, Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from service.process.deaths import living_children
from service.process.service_directory import directory_errors, service_directory

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
ENDED = "ended"
BUNDLE = "bundle"  # the label that names a bundle version
_FIRST_ENTRY = 8  # offset in a file of prometheus_client
# Twice what a worker needs that has used all shipped bundles.
NUM_BYTES = {"counter": 2**18, "gauge_livesum": 2**16, "gauge_mostrecent": 2**16, "histogram": 2**21}


def reserve_totals(directory: Path) -> None:
    """Make the files named ENDED, in a service's first process.

    Raises:
        OSError: There is no room for them.
    """
    _reserve(directory, ENDED)


def merge_ended(directory: Path, living: Callable[[], Set[int]] = living_children) -> None:
    """Move the counts of processes that have ended to the files named ENDED.

    Args:
        directory: The service's.
        living: Returns the ids of live processes. Called after the files are listed, so that it knows whoever made
            them.
    """
    # When the first process ends, its directory is removed meanwhile.
    with suppress(FileNotFoundError), _locked(directory, fcntl.LOCK_EX):
        paths = list(directory.glob("*.db"))
        kept = {ENDED, *map(str, living())}
        for path in paths:
            kind, _, process = path.stem.rpartition("_")
            if process not in kept:
                _add(path, kind, directory / f"{kind}_{ENDED}.db")
                path.unlink()


def join_service() -> None:
    """Make this worker count in the service's files from now on. Does nothing if no service has started it.

    Raises:
        DirectoryUnusable: There is no room for them.
    """
    directory = service_directory()
    if VARIABLE in os.environ and directory is not None:
        os.environ[VARIABLE] = str(directory)
        with directory_errors(directory):
            directory.mkdir(mode=0o700, exist_ok=True)
            _reserve(directory, str(os.getpid()))


def keep_within(file: MmapedDict, forgotten: Container[str]) -> None:
    """Before a file of this process is full, drop the series of these bundle versions, or reserve more.

    prometheus_client only appends to it, and would double it when it is full without reserving the space.

    Raises:
        OSError: There is no room for more.
    """
    num_bytes = os.fstat(file._f.fileno()).st_size
    if 2 * file._used <= num_bytes:
        return
    path = Path(file._fname)
    # If it is being read, there is time until the next call. When the service ends, its directory is removed.
    with suppress(BlockingIOError, FileNotFoundError), _locked(path.parent, fcntl.LOCK_EX | fcntl.LOCK_NB):
        _drop(file, forgotten)
        if 2 * file._used > num_bytes:
            _reserve_bytes(path, 2 * num_bytes)


def exposition(forgotten: Container[str]) -> bytes | None:
    """The counts of all processes of the service, in Prometheus' text format, without those of these bundle versions.

    None if this one keeps no files, or they are gone.
    """
    if VARIABLE not in os.environ:
        return None
    # Locked, so that no counts are moved from one file to another meanwhile. The collector refuses a missing directory.
    with suppress(FileNotFoundError, ValueError), _locked(Path(os.environ[VARIABLE]), fcntl.LOCK_SH):
        registry = CollectorRegistry()
        registry.register(_Remembered(MultiProcessCollector(None), forgotten))  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return None


class _Remembered(Collector):
    """Collects what another collector does, except the series of forgotten bundle versions."""

    def __init__(self, collector: Collector, forgotten: Container[str]) -> None:
        self._collector = collector
        self._forgotten = forgotten

    def collect(self) -> Iterator[Metric]:
        for metric in self._collector.collect():
            metric.samples = [sample for sample in metric.samples if sample.labels.get(BUNDLE) not in self._forgotten]
            yield metric


@contextmanager
def _locked(directory: Path, how: int) -> Iterator[None]:
    with (directory / "lock").open("ab") as lock:
        fcntl.flock(lock, how)
        yield


def _reserve(directory: Path, process: str) -> None:
    for kind, num_bytes in NUM_BYTES.items():
        _reserve_bytes(directory / f"{kind}_{process}.db", num_bytes)


def _reserve_bytes(path: Path, num_bytes: int) -> None:
    """Reserve this much for a file: a process that maps it and finds the disk full is killed by SIGBUS."""
    if sys.platform == "darwin":  # it has no such call
        return
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(file, 0, num_bytes)
    finally:
        os.close(file)


def _drop(file: MmapedDict, forgotten: Container[str]) -> None:
    kept = [each for each in file.read_all_values() if json.loads(each[0])[2].get(BUNDLE) not in forgotten]  # type: ignore[no-untyped-call]
    file._used, file._positions = _FIRST_ENTRY, {}
    for key, value, set_at in kept:
        file.write_value(key, value, set_at)  # type: ignore[no-untyped-call]


def _add(path: Path, kind: str, ended: Path) -> None:
    """Add a file's counts to those of ended processes. The value of a gauge is the one that was set last, if any is."""
    if kind.startswith("gauge_live"):  # what is true of a living process only
        return
    counts = list(MmapedDict.read_all_values_from_file(str(path)))  # type: ignore[no-untyped-call]
    _reserve_bytes(ended, 2 * (_num_used(ended) + _num_used(path)))
    totals = MmapedDict(str(ended))  # type: ignore[no-untyped-call]
    for key, value, set_at, _ in counts:
        total, total_set_at = totals.read_value(key)  # type: ignore[no-untyped-call]
        if not kind.startswith("gauge"):
            totals.write_value(key, total + value, set_at)  # type: ignore[no-untyped-call]
        elif set_at >= total_set_at:
            totals.write_value(key, value, set_at)  # type: ignore[no-untyped-call]
    totals.close()  # type: ignore[no-untyped-call]


def _num_used(path: Path) -> int:
    with path.open("rb") as file:
        return int.from_bytes(file.read(4), sys.byteorder)
