"""The files in which the processes of a service count, as prometheus_client keeps them.

BentoML empties the ones that it provides at every start, a refused one included, under whoever counts in them. So each
service has a directory of its own among the temporary files. What processes that have ended have counted is added up in
files of the name ENDED, or each death would make every scrape slower.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from prometheus_client.mmap_dict import MmapedDict

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
ENDED = "ended"
NUM_BYTES = {"counter": 2**18, "gauge_mostrecent": 2**16, "histogram": 2**20}


class NoRoom(Exception):
    """The files find no room."""


class MetricFiles:
    """The files of one service.

    Args:
        port: The service's port.
        first_pid: Its first process.
    """

    def __init__(self, port: int, first_pid: int) -> None:
        self._prefix = f"unrolled-{port}-"
        self._directory = Path(tempfile.gettempdir()) / f"{self._prefix}{first_pid}.metrics"

    def begin(self) -> None:
        """Make the directory, in the first process. Those that killed services of this port have left go.

        Raises:
            NoRoom: There is none.
        """
        for path in self._directory.parent.glob(f"{self._prefix}*.metrics"):
            # In a container that is started again the first process has the same id.
            is_left = path == self._directory or not psutil.pid_exists(_pid_of(path))
            if is_left and path.stat().st_uid == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)
        with self._room():
            self._directory.mkdir(mode=0o700)
            atexit.register(shutil.rmtree, self._directory, ignore_errors=True)
            self._reserve(ENDED)

    def join(self) -> None:
        """Count in this directory from now on, in a worker. Nothing changes where the first process has made none.

        Raises:
            NoRoom: There is none.
        """
        if VARIABLE in os.environ and self._directory.is_dir():
            os.environ[VARIABLE] = str(self._directory)
            with self._room():
                self._reserve(str(os.getpid()))

    def add_up(self, alive: Set[int]) -> None:
        """Move what processes have counted that have ended to the files of the ended."""
        # At the end of this process its directory goes meanwhile.
        with suppress(FileNotFoundError), _locked(self._directory, fcntl.LOCK_EX):
            for path in self._directory.glob("*.db"):
                kind, _, process = path.stem.rpartition("_")
                if process != ENDED and int(process) not in alive:
                    _add(path, kind, self._directory / f"{kind}_{ENDED}.db")
                    path.unlink()

    def _reserve(self, process: str) -> None:
        """Make a process's files at their usual length: one that finds its disk full later is killed by SIGBUS."""
        for kind, num_bytes in NUM_BYTES.items():
            with (self._directory / f"{kind}_{process}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, num_bytes)

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NoRoom(f"the metrics cannot be kept in {self._directory}: {error.strerror}") from error


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


def _pid_of(directory: Path) -> int:
    with suppress(ValueError):
        return int(directory.stem.rpartition("-")[2])
    return 0


def _add(path: Path, kind: str, ended: Path) -> None:
    """Add counts to those of the ended. Of a gauge the value that was set last is kept."""
    totals = MmapedDict(str(ended))  # type: ignore[no-untyped-call]
    for key, value, set_at, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
        total, total_set_at = totals.read_value(key)  # type: ignore[no-untyped-call]
        if not kind.startswith("gauge"):
            totals.write_value(key, total + value, set_at)  # type: ignore[no-untyped-call]
        elif set_at >= total_set_at:
            totals.write_value(key, value, set_at)  # type: ignore[no-untyped-call]
    totals.close()  # type: ignore[no-untyped-call]
