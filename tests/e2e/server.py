"""The real service in processes of its own, as `make serve` starts it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.paths import ROOT
from tests.ports import free_port
from tests.waiting import until

START_SECONDS = 120  # on a machine that others use as well
STOP_SECONDS = 30
WORKER = "_bentoml_impl.worker.service"


def is_listening(port: int) -> bool:
    """Whether anybody answers at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The caller's environment with a model store and a session store of its own and the given settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("UNROLLED_", "OMP_"))}
    own = {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "UNROLLED_PREPARED_GRAPHS": os.environ["UNROLLED_PREPARED_GRAPHS"],
        "UNROLLED_STORE": f"lmdb://{home}/sessions",
        "UNROLLED_DRAIN_SECONDS": "0.1",
        "UNROLLED_SPARE_WORKERS": "0",
    }
    return {**inherited, **own, **settings}


@dataclass
class Server:
    """A running service; leaving the context stops it."""

    home: Path
    port: int = field(default_factory=free_port)
    fast_port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.log = self.home / "service.log"
        ports = {"UNROLLED_PORT": str(self.port), "UNROLLED_FAST_PORT": str(self.fast_port)}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service"],
                cwd=ROOT,
                env=environment(self.home, **ports, **self.settings),
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            until(lambda: self.process.poll() is not None or self.is_whole(), START_SECONDS, "the service is ready")
        except TimeoutError:
            self.stop()
        if self.process.poll() is not None:
            raise RuntimeError(f"the service ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")

    def is_whole(self) -> bool:
        """Whether it is ready, and so is every worker that it should have."""
        return self.is_ready() and len(self.workers()) == int(self.settings.get("UNROLLED_WORKERS", "1"))

    def is_ready(self) -> bool:
        """Whether both ports answer that they are."""
        return all(map(is_ready, (self.port, self.fast_port)))

    @property
    def url(self) -> str:
        """Where BentoML's port answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def fast_url(self) -> str:
        """Where the second port answers."""
        return f"http://127.0.0.1:{self.fast_port}"

    @property
    def stream_url(self) -> str:
        """Where it takes WebSocket connections."""
        return f"ws://127.0.0.1:{self.fast_port}/stream"

    def processes(self) -> list[psutil.Process]:
        """All of its processes, the parent first."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def workers(self) -> list[psutil.Process]:
        """The processes that serve."""
        return [process for process in self.processes() if self.fast_port in _listening(process)]

    def spares(self) -> list[psutil.Process]:
        """The processes that would serve if another died."""
        return [each for each in self.processes() if WORKER in _command(each) and each not in self.workers()]

    def kill(self) -> None:
        """SIGKILL to every process at once; waits until the ports are closed."""
        processes = self.processes()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):  # its parent's end may have been quicker
                process.kill()
        self.process.wait(timeout=STOP_SECONDS)
        psutil.wait_procs(processes, timeout=STOP_SECONDS)
        until(lambda: not (is_listening(self.port) or is_listening(self.fast_port)), STOP_SECONDS, "ports are closed")

    def stop(self) -> int:
        """SIGTERM to the group, as a terminal or a supervisor sends it; the exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def is_ready(port: int, path: str = "/readyz") -> bool:
    """Whether a port answers that it is; asked with little effort, which a service that starts has better use for."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _listening(process: psutil.Process) -> set[int]:
    try:
        connections = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return set()
    return {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
