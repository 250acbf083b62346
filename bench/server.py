"""Starts a server in its own processes, waits for it, and stops it with all its workers."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import busiest, descendants, wait_for_end
from bench.progress import waiting

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
STOP_SECONDS = 20
LOOK_SECONDS = 0.1


class ServerDown(Exception):
    """The server did not start. The message is the end of its log."""


class Server:
    """A command that listens on a port, and answers `GET /readyz` once it serves. Leaving the context stops it.

    Args:
        command: Command to run, in the project's directory.
        port: Port that it listens on.
        start_seconds: How long it may take to start.
    """

    def __init__(self, command: Sequence[str], port: int, start_seconds: float = START_SECONDS) -> None:
        self._command = list(command)
        self._start_seconds = start_seconds
        self.port = port

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.log = self.folder / "log"
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603  our own command
                self._command,
                cwd=ROOT,
                env=self._whole_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # so that Ctrl-C reaches only this process
            )
        try:
            with waiting(f"starting {self._command[2]}"):
                self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        """URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def worker(self) -> int:
        """Process id of the worker: of all that the command started, the one with the most processor time."""
        return busiest(self._process.pid)

    def _whole_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("UNROLLED_")}
        home = {"BENTOML_HOME": str(self.folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
        return {**inherited, **home}

    def _wait(self) -> None:
        until = time.monotonic() + self._start_seconds
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise ServerDown(f"{' '.join(self._command)} did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(LOOK_SECONDS)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=START_SECONDS) as answer:  # noqa: S310  http, our own
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _stop(self) -> None:
        """Send SIGTERM to the process group, as a supervisor does, and SIGKILL to what is left some time after."""
        family = [self._process.pid, *descendants(self._process.pid)]
        try:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(STOP_SECONDS)
            wait_for_end(family, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            for pid in family:
                _kill(pid)
            self._process.wait()
            self._folder.cleanup()


def free_port() -> int:
    """Return a port that no process listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
