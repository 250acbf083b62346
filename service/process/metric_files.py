"""The files in which the processes of a service count, as prometheus_client keeps them.

BentoML empties the ones that it provides at every start, a refused one included, under whoever counts in them. So each
service has a directory of its own among the temporary files. What processes that have ended have counted is added up in
files of the name ENDED, or each death would make every scrape slower.
"""

import atexit
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil
from prometheus_client.mmap_dict import MmapedDict

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
ENDED = "ended"
# Twice what workers need that have used all shipped bundles.
NUM_BYTES = {"counter": 2**18, "gauge_mostrecent": 2**16, "histogram": 2**21}
_DIRECTORY = "COUNTS_OF_UNROLLED"  # as workers inherit it from the first process


class NoRoom(Exception):
    """The files find no room."""


class MetricFiles:
    """The files of one service, in its first process.

    Args:
        directory: Where they are. It is made, and goes with this process.

    Raises:
        NoRoom: There is none.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with _room_in(directory):
            directory.mkdir(mode=0o700)
            atexit.register(shutil.rmtree, directory, ignore_errors=True)
            self._lock = os.open(directory, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_SH)  # systemd-tmpfiles(8), which removes what is old, leaves it alone
            _reserve(directory, ENDED)

    @classmethod
    def begin(cls, port: int) -> Self:
        """Have the workers that are started from here on count for the service of a port.

        What services of that port have left that were killed goes.

        Raises:
            NoRoom: There is none.
        """
        prefix = f"unrolled-{port}-"
        directory = Path(tempfile.gettempdir()) / f"{prefix}{os.getpid()}.metrics"
        for path in directory.parent.glob(f"{prefix}*.metrics"):
            # In a container that is started again the first process has the same id.
            is_left = path == directory or not psutil.pid_exists(_pid_of(path))
            with suppress(OSError):
                if is_left and path.lstat().st_uid == os.geteuid():
                    shutil.rmtree(path, ignore_errors=True)
        os.environ[_DIRECTORY] = str(directory)
        return cls(directory)

    def add_up(self, alive: Callable[[], Set[int]]) -> None:
        """Move what processes have counted that have ended to the files of the ended.

        Args:
            alive: Ids of the processes that have not ended. Asked once the files are known: who has made one was there.
        """
        # At the end of this process its directory goes meanwhile.
        with suppress(FileNotFoundError), _locked(self._directory, fcntl.LOCK_EX):
            paths = list(self._directory.glob("*.db"))
            kept = {ENDED, *map(str, alive())}
            for path in paths:
                kind, _, process = path.stem.rpartition("_")
                if process not in kept:
                    _add(path, kind, self._directory / f"{kind}_{ENDED}.db")
                    path.unlink()


def join_service() -> None:
    """Count for the service from now on, in a worker. Does nothing in a process that was not started by a service.

    Raises:
        NoRoom: There is none.
    """
    directory = Path(os.environ.get(_DIRECTORY, ""))
    if VARIABLE in os.environ and directory.is_absolute():
        os.environ[VARIABLE] = str(directory)
        with _room_in(directory):
            directory.mkdir(mode=0o700, exist_ok=True)
            _reserve(directory, str(os.getpid()))


def are_there() -> bool:
    """Whether this process counts in files, and nobody has removed their directory."""
    return Path(os.environ.get(VARIABLE, "/dev/null")).is_dir()


@contextmanager
def nothing_is_moved() -> Iterator[None]:
    """While the files are read, nothing is moved from one to another."""
    with _locked(Path(os.environ[VARIABLE]), fcntl.LOCK_SH):
        yield


@contextmanager
def _locked(directory: Path, how: int) -> Iterator[None]:
    with (directory / "lock").open("ab") as lock:
        fcntl.flock(lock, how)
        yield


@contextmanager
def _room_in(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NoRoom(f"the metrics cannot be kept in {directory}: {error.strerror}") from error


def _reserve(directory: Path, process: str) -> None:
    for kind, num_bytes in NUM_BYTES.items():
        _lengthen(directory / f"{kind}_{process}.db", num_bytes)


def _lengthen(path: Path, num_bytes: int) -> None:
    """Give a file so much room at least: who maps it and finds the disk full is killed by SIGBUS."""
    if sys.platform == "darwin":  # which has no such call
        return
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(file, 0, num_bytes)
    finally:
        os.close(file)


def _pid_of(directory: Path) -> int:
    with suppress(ValueError):
        return int(directory.stem.rpartition("-")[2])
    return 0


def _add(path: Path, kind: str, ended: Path) -> None:
    """Add counts to those of the ended. Of a gauge the value that was set last is kept."""
    counts = list(MmapedDict.read_all_values_from_file(str(path)))  # type: ignore[no-untyped-call]
    _lengthen(ended, 2 * (_num_used(ended) + _num_used(path)))
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
