"""Profiles a worker: `python -m bench.profile steps` has py-spy sample its functions under load.

Prints the functions with the most samples: in the function itself, and including the functions that it called. With
`--flame`, it also draws a flame graph. Only threads that hold the interpreter's lock (GIL) are sampled: the event loop
competes for it, and py-spy cannot tell whether a thread inside a C extension is working or waiting.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.clients.http import request
from bench.clients.loop import http_loop, websocket_loop
from bench.command import run_command
from bench.figure import Unavailable
from bench.load import Load
from bench.measurement_process import MeasurementProcess
from bench.options import read_options
from bench.progress import watched
from bench.requests import step_frames, step_requests
from bench.service import Service
from bench.steps import open_batches, steps_client

CONNECTIONS = 64
SENTENCE = b'{"text": "it takes a strange kind of laziness to waste the talents", "model": "sentiment"}'
WARM_UP_SECONDS = 2.0
SPARE_SECONDS = 5.0  # the client begins before py-spy and ends after it
SHOWN = 30
OWN = "(service/"
SAMPLES_PER_SECOND = 250

CLIENTS: dict[str, Callable[[Service], MeasurementProcess[Load]]] = {
    "steps": lambda service: steps_client(service, open_batches(service), "binary", "none"),
    "steps-json": lambda service: steps_client(service, open_batches(service), "json", "argmax"),
    "http": lambda service: MeasurementProcess(
        http_loop, service.fast_address, step_requests(service, service.open_sessions(CONNECTIONS))
    ),
    "sentiment": lambda service: MeasurementProcess(
        http_loop, service.fast_address, [[request("/sentiment", SENTENCE, service.headers)]] * CONNECTIONS
    ),
    "websocket": lambda service: MeasurementProcess(
        websocket_loop, service.fast_address, step_frames(service.open_sessions(CONNECTIONS)), service.headers
    ),
}


def main() -> int:
    """Run the command line. Returns the exit status."""
    arguments = _parser().parse_args()
    return run_command(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    try:
        _profile(arguments)
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("client", choices=CLIENTS, help="kind of load on the service")
    parser.add_argument("--seconds", type=int, default=10, help="how long to sample; default: 10")
    parser.add_argument("--flame", type=Path, metavar="FILE.svg", help="also draw a flame graph into this file")
    parser.add_argument(
        "--all", action="store_true", help="also sample threads that do not hold the interpreter's lock"
    )
    parser.add_argument("--native", action="store_true", help="also sample functions of C extensions")
    return parser


def _profile(arguments: argparse.Namespace) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-profile-")))
        service = stack.enter_context(Service(read_options().store))
        client = stack.enter_context(CLIENTS[arguments.client](service))
        client.run(WARM_UP_SECONDS)
        for kind, output in (("raw", folder / "stacks"), ("flamegraph", arguments.flame)):
            if output is not None:
                watcher = stack.enter_context(_watch(service.worker, kind, output, arguments))
                seconds = arguments.seconds + SPARE_SECONDS
                load = watched(f"profile, {kind}", seconds, partial(client.run, seconds))
                _, said = watcher.communicate()
                if watcher.returncode:
                    raise Unavailable(
                        f"py-spy failed, which needs the right to trace processes (root):\n{said.strip()}"
                    )
        print(f"{load.rate:,.0f}/s while it was watched\n")
        print(top((folder / "stacks").read_text().splitlines()))


def _watch(pid: int, kind: str, output: Path, arguments: argparse.Namespace) -> subprocess.Popen[str]:
    program = Path(sys.executable).with_name("py-spy")
    found = str(program) if program.exists() else shutil.which("py-spy")
    if found is None:
        raise Unavailable("py-spy is not installed: pip install py-spy")
    command = [found, "record", "--pid", str(pid), "--format", kind, "--output", str(output)]
    command += ["--duration", str(arguments.seconds), "--rate", str(SAMPLES_PER_SECOND), "--threads", "--function"]
    if not arguments.all:
        command.append("--gil")
    if arguments.native:
        command.append("--native")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603  our own arguments


def top(stacks: Iterable[str], shown: int = SHOWN) -> str:
    """List the functions with the most samples.

    Args:
        stacks: Lines of py-spy's raw format: frames from the outermost on, joined by ";", then a blank and a count.
        shown: How many functions of each kind to list.
    """
    itself: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    total = 0
    for line in stacks:
        frames, _, digits = line.rpartition(" ")
        count = int(digits)
        total += count
        names = frames.split(";")
        itself[names[-1]] += count
        inclusive.update(dict.fromkeys((name for name in names if OWN in name), count))
    tables = (("itself", itself), ("with what it calls, of the project's own", inclusive))
    return "\n\n".join(f"{title}:\n{_shares(counts, total, shown)}" for title, counts in tables)


def _shares(counts: Counter[str], total: int, shown: int) -> str:
    return "\n".join(f"{count / total:6.1%}  {name}" for name, count in counts.most_common(shown))


if __name__ == "__main__":
    sys.exit(main())
