"""Workers as their parent sees them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

Win = tuple[str, int]


class Worker:
    """A process of tests.service.stores.worker, which waits to be started once it has opened the store."""

    def __init__(self, role: str, settings: Mapping[str, str], ids: Sequence[str], name: str) -> None:
        command = [sys.executable, "-m", "tests.service.stores.worker"]
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with words of this suite
            [*command, role, json.dumps(settings), json.dumps(ids), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def wait_until_ready(self) -> None:
        """Wait until it has opened the store."""
        assert self._read_line() == b"ready\n"

    def start(self) -> None:
        """Start it."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def wins(self, num_lines: int) -> list[Win]:
        """What it says that it has won in its next lines."""
        return [win for _ in range(num_lines) for win in _wins(self._read_line())]

    def finish(self) -> list[Win]:
        """What it has won until it ended well."""
        wins = self._rest()
        assert self._process.returncode == 0
        return wins

    def kill(self) -> None:
        """Kill it, wherever it is."""
        self._process.kill()

    def last_words(self) -> list[Win]:
        """What it had said that it has won when it was killed."""
        return self._rest()

    def _rest(self) -> list[Win]:
        with self._process as process:
            assert process.stdout is not None
            lines = process.stdout.read().splitlines(keepends=True)
        return [win for line in lines if line.endswith(b"\n") for win in _wins(line)]

    def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def _wins(line: bytes) -> list[Win]:
    return [(session_id, step) for session_id, step in json.loads(line)]
