"""A real Prometheus, started as deploy/ starts it but for its times and whom it asks."""

import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Any

import yaml

from tests.e2e.asking import http_client
from tests.e2e.server import STOP_SECONDS, is_ready
from tests.paths import ROOT
from tests.ports import free_port
from tests.waiting import until

BINARY = which("prometheus")
START_SECONDS = 30
EVERY = "500ms"


@dataclass
class Prometheus:
    """It, scraping one service that asks for keys.

    Args:
        directory: For its configuration and what it keeps.
        target: The service's port.
        token: A valid API key.
    """

    directory: Path
    target: int
    token: str
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.directory / "token").write_text(self.token)
        shutil.copy(ROOT / "deploy" / "helm" / "unrolled" / "rules.yml", self.directory)
        config = self.directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config()))
        words = f"--config.file={config} --storage.tsdb.path={self.directory}/kept"
        self._process = subprocess.Popen(  # noqa: S603  words of this test
            [str(BINARY), *words.split(), f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, START_SECONDS, "prometheus answers")

    def stop(self) -> None:
        """SIGTERM."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=STOP_SECONDS)

    def query(self, expression: str) -> list[float]:
        """The values that it answers an expression with now."""
        found = self._get("query", query=expression)
        assert found["resultType"] == "vector", expression
        return [float(each["value"][1]) for each in found["result"]]

    def rules(self) -> list[dict[str, Any]]:
        """Its rules, with their health and, of alerts, their state."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, what: str, **asked: str) -> dict[str, Any]:
        with http_client(f"http://127.0.0.1:{self.port}") as client:
            told: dict[str, Any] = client.get(f"/api/v1/{what}", params=asked).json()
        assert told["status"] == "success", told
        found: dict[str, Any] = told["data"]
        return found

    def _answers(self) -> bool:
        assert self._process.poll() is None, "prometheus has ended"
        return is_ready(self.port, "/-/ready")

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "prometheus.keys.yml").read_text())
        config["global"] = {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
        (job,) = config["scrape_configs"]
        job["authorization"]["credentials_file"] = str(self.directory / "token")
        job["static_configs"][0]["targets"] = [f"127.0.0.1:{self.target}"]
        return config
