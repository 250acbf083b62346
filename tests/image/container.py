"""The service in a container: started, killed, told to stop, and looked at from this machine."""

import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psutil

from tests.e2e.server import STOP_SECONDS, WORKER, is_listening, is_ready
from tests.image.engine import Engine, Mount
from tests.ports import free_port
from tests.waiting import until

STORE = "/var/lib/unrolled"
START_SECONDS = 180
ENGINE_SAYS = ("subprocess exited with status", "Error: exit status")  # buildah, of a status that is not 0


class Ended(NamedTuple):
    """How a container ended."""

    status: int
    last_line: str


@dataclass
class Container:
    """A container of the service; leaving the context kills it.

    Args:
        engine: What runs it.
        volume: Directory of this machine for the session store; None for no volume.
        settings: Environment variables.
        mounts: Further directories.
    """

    engine: Engine
    volume: Path | None
    settings: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    port: int = field(default_factory=free_port)
    fast_port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> float:
        """Start it and wait until it is ready; how many seconds that took."""
        self._run()
        return until(self._is_ready_or_over, START_SECONDS, "the container is ready")

    def end(self) -> Ended:
        """Start it and wait until it has ended, which it should do by itself."""
        self._run()
        status = self._process.wait(timeout=START_SECONDS)
        lines = [line for line in self._read_log().splitlines() if not line.startswith(ENGINE_SAYS)]
        return Ended(status, lines[-1])

    def kill(self) -> None:
        """SIGKILL to every process of it at once."""
        for process in self.processes():
            process.kill()
        self._process.wait(timeout=STOP_SECONDS)
        self._log.close()
        until(lambda: not (is_listening(self.port) or is_listening(self.fast_port)), STOP_SECONDS, "ports are closed")

    def stop(self) -> int:
        """SIGTERM to the first process, as a runtime sends it; the exit status."""
        self.first_process().send_signal(signal.SIGTERM)
        return self._process.wait(timeout=STOP_SECONDS)

    def processes(self) -> list[psutil.Process]:
        """All of its processes that this machine sees."""
        return [each for each in psutil.process_iter() if _variable(each, "UNROLLED_PORT") == str(self.port)]

    def first_process(self) -> psutil.Process:
        """The one that starts the workers."""
        return next(each for each in self.processes() if {"serve", "service.app:RNNService"} <= set(each.cmdline()))

    def workers(self) -> list[psutil.Process]:
        """Those that serve, and spare ones."""
        return [each for each in self.processes() if WORKER in each.cmdline()]

    @property
    def url(self) -> str:
        """Where BentoML's port answers."""
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  as long as the container is there
        own = {"UNROLLED_HOST": "127.0.0.1", "UNROLLED_PORT": str(self.port), "UNROLLED_FAST_PORT": str(self.fast_port)}
        volume = [Mount(self.volume, STORE, is_read_only=False)] if self.volume else []
        command = self.engine.command({**own, **self.settings}, [*volume, *self.mounts], ())
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)  # noqa: S603  our words

    def is_ready(self) -> bool:
        """Whether both ports answer that they are."""
        return all(map(is_ready, (self.port, self.fast_port)))

    def _is_ready_or_over(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the container ended with {self._process.returncode}:\n{self._read_log()[-3000:]}")
        return self.is_ready()

    def _read_log(self) -> str:
        with self._log:
            self._log.seek(0)
            return self._log.read()


def _variable(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except psutil.Error:
        return None
