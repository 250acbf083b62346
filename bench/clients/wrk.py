"""wrk, the load generator: the cheapest client for single HTTP requests."""

import json
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.figure import Unavailable
from bench.load import Load, Quantiles

SCRIPT = Path(__file__).with_name("requests.lua")
SPARE_SECONDS = 60


class Wrk:
    """Sends requests over many connections.

    Args:
        url: Scheme, host and port.
        requests: Path and body of each request, sent in turn.
        folder: Where to write them for wrk.
        connections: Number of connections.
        threads: Number of threads. With one per connection and request, each connection sends its own request only.
        headers: Headers of every request.

    Raises:
        Unavailable: wrk is not installed.
    """

    def __init__(
        self,
        url: str,
        requests: Sequence[tuple[str, bytes]],
        folder: Path,
        connections: int = 64,
        threads: int = 1,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        program = shutil.which("wrk")
        if program is None:
            raise Unavailable("wrk is not installed; on Debian or Ubuntu: apt-get install wrk")
        lines = folder / f"requests-{len(list(folder.iterdir()))}.tsv"
        lines.write_bytes(b"".join(path.encode() + b"\t" + body + b"\n" for path, body in requests))
        self._command = [program, f"-c{connections}", f"-t{threads}", "--timeout", "30s", "--script", str(SCRIPT), url]
        self._arguments = [str(lines), str(threads), *(f"{name}: {value}" for name, value in (headers or {}).items())]

    def __call__(self, seconds: float) -> Load:
        """Send for `seconds`.

        Raises:
            RuntimeError: Some requests were refused or failed.
        """
        before = _cpu_seconds()
        command = [*self._command, f"-d{max(1, round(seconds))}s", "--", *self._arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + SPARE_SECONDS)  # noqa: S603  our own arguments
        summary = json.loads(done.stdout.rstrip().rsplit("\n", 1)[-1])
        if summary["refused"] or summary["broken"]:
            raise RuntimeError(f"wrk: of {summary['completed']} requests some failed: {summary}")
        return Load(summary["completed"], summary["microseconds"] / 1e6, _cpu_seconds() - before, _quantiles(summary))


def _quantiles(summary: Mapping[str, float]) -> Quantiles:
    return Quantiles(summary["p50"] / 1e6, summary["p99"] / 1e6, summary["worst"] / 1e6)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
