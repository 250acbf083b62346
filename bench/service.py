"""The real service with one worker, as `make serve` starts it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
from tqdm import tqdm  # type: ignore[import-untyped]

from bench.server import ROOT, Server, free_port
from service.bundle.manifest import read_bundle
from service.keys.key_file import add_key

MODEL = "generation"
OWNER = "bench"


class Service(Server):
    """The service in a temporary home with an LMDB store and one API key.

    Args:
        store: URL of the session store. If empty, LMDB in the temporary home.
        settings: Settings, by name, added to the ones made here or overriding them.
        bundles: Directories of bundles to serve instead of the shipped ones.
    """

    def __init__(
        self, store: str = "", settings: Mapping[str, str] | None = None, bundles: tuple[Path, ...] = ()
    ) -> None:
        super().__init__([sys.executable, "-m", "service"], free_port())
        self.fast_port = free_port()
        self._store = store
        self._settings = dict(settings or {})
        self._bundles = bundles

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Authorization": f"Bearer {self._token}"}

    @property
    def fast_address(self) -> tuple[str, int]:
        """Host and port of the second port."""
        return "127.0.0.1", self.fast_port

    @property
    def fast_url(self) -> str:
        """URL of the second port."""
        return f"http://127.0.0.1:{self.fast_port}"

    def open_sessions(self, count: int, model: str = MODEL) -> list[str]:
        """Open sessions. Returns their ids."""
        with httpx.Client(base_url=self.url, headers=self.headers, timeout=60) as client:
            numbers = tqdm(range(count), desc="opening sessions", leave=False, delay=1, disable=None)
            return [self._open_session(client, model) for _ in numbers]

    def _open_session(self, client: httpx.Client, model: str) -> str:
        answer = client.post("/sessions", json={"model": model})
        answer.raise_for_status()
        session_id: str = answer.json()["session_id"]
        return session_id

    def _whole_environment(self) -> dict[str, str]:
        environment = super()._whole_environment()
        keys = self.folder / "keys"
        self._token = add_key(keys, OWNER)
        settings = {
            "UNROLLED_PORT": str(self.port),
            "UNROLLED_FAST_PORT": str(self.fast_port),
            "UNROLLED_STORE": self._store or f"lmdb://{self.folder / 'sessions'}",
            "UNROLLED_DURABILITY": "process",
            "UNROLLED_API_KEYS": str(keys),
            **self._settings,
        }
        if self._bundles:
            settings["UNROLLED_BUNDLES"] = ",".join(_import(path, environment) for path in self._bundles)
        return {**environment, **settings}


def _import(path: Path, environment: Mapping[str, str]) -> str:
    """Import a bundle into the model store of an environment. Returns its tag."""
    command = [sys.executable, "-m", "service", "import", str(path.resolve())]
    subprocess.run(command, cwd=ROOT, env=dict(environment), capture_output=True, check=True)  # noqa: S603  our own program
    return read_bundle(path).tag
