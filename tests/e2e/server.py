"""The real service in processes of its own, as `make serve` starts it."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
STOP_SECONDS = 30


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The caller's environment with a model store of its own and the given settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("UNROLLED_")}
    return {**inherited, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", **settings}


@dataclass
class Server:
    """A running service; leaving the context stops it."""

    home: Path
    port: int

    def __enter__(self) -> Self:
        self.log = self.home / "service.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service"],
                cwd=ROOT,
                env=environment(self.home, UNROLLED_PORT=str(self.port)),
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        # Connecting is tried again until the port listens; the answer comes when a worker is ready.
        patient = httpx.HTTPTransport(retries=7)
        try:
            with httpx.Client(transport=patient, timeout=START_SECONDS) as client:
                client.get(f"{self.url}/readyz").raise_for_status()
        except httpx.HTTPError:
            self.stop()
            raise RuntimeError(f"the service did not start:\n{self.log.read_text()[-3000:]}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

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
