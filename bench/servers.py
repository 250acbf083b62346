"""One step of a sequence with 64 connections, against other servers that run the same graph with their own batching.

Each has one copy of the model, batches of at most 64 rows, and the states in that copy's memory, lost with it. The
service keeps its promises meanwhile: owners, step numbers, records in the store (see docs/sessions.md). Only it and the
one that it is compared with run at a time, since some servers keep a fifth of a core busy while nothing is asked.
Programs are in `bench.others`; `make bench-servers` makes a virtual environment for each.
"""

import subprocess
import sys
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson

from bench.baselines.bento_server import BARE_STEP_SERVICE, BentoServer
from bench.clients.wrk import Wrk
from bench.compare import milliseconds, multiple, rate, tail
from bench.figure import Figure, Unavailable
from bench.load import alternate
from bench.options import Options
from bench.requests import V, baseline_step, step_lines
from bench.server import ROOT, Server, free_port
from bench.service import Service

ENVIRONMENTS = Path(f"{sys.prefix}-servers")
CONNECTIONS = 64
SEQUENCES = range(1, CONNECTIONS + 1)
START_SECONDS = 180
ANSWER_SECONDS = 10

Line = tuple[str, bytes]


@dataclass(frozen=True)
class Other:
    """Another server.

    Attributes:
        title: Its name.
        package: What it is imported as.
        program: Module of `bench.others`, and its arguments before the port.
        step: Makes path and body of a step of a sequence.
        first: Likewise of a sequence's first step, if that differs.
    """

    title: str
    package: str
    program: tuple[str, ...]
    step: Callable[[int], Line]
    first: Callable[[int], Line] | None = None


def _json_step(path: str, sequence: int) -> Line:
    return path, orjson.dumps({"sequence": sequence, "id": sequence % V})


def _mlserver_step(sequence: int) -> Line:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "INT64", "data": [sequence, sequence % V]}
    return "/v2/models/steps/infer", orjson.dumps({"inputs": [tensor]})


def _triton_step(sequence: int, is_first: bool = False) -> Line:
    tensor = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [sequence % V]}
    parameters = {"sequence_id": sequence, "sequence_start": is_first}
    return "/v2/models/steps/infer", orjson.dumps({"parameters": parameters, "inputs": [tensor]})


OTHERS = (
    Other("mosec", "mosec", ("mosec_steps", "--address", "127.0.0.1", "--port"), partial(_json_step, "/inference")),
    Other(
        "Triton's sequence batcher", "pytriton", ("triton_steps",), _triton_step, partial(_triton_step, is_first=True)
    ),
    Other("LitServe", "litserve", ("litserve_steps",), partial(_json_step, "/predict")),
    Other("MLServer", "mlserver", ("mlserver_steps",), _mlserver_step),
    Other("Ray Serve", "ray.serve", ("ray_steps",), partial(_json_step, "/")),
)


class OtherServer(Server):
    """Another server. Entering the context also begins every sequence.

    Raises:
        Unavailable: Its virtual environment has not been made.
    """

    def __init__(self, other: Other) -> None:
        module, *arguments = other.program
        python = ENVIRONMENTS / module.removesuffix("_steps") / "bin" / "python"
        if not _can_import(python, other.package):
            raise Unavailable(f"{other.title} is not installed: make bench-servers, if it knows this Python")
        port = free_port()
        command = [str(python), "-m", f"bench.others.{module}", *arguments, str(port)]
        super().__init__(command, port, start_seconds=START_SECONDS)
        self._other = other

    def _whole_environment(self) -> dict[str, str]:
        return {**super()._whole_environment(), "PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder)}

    def _answers(self) -> bool:
        """Whether the first steps of all sequences are answered."""
        first = self._other.first or self._other.step
        return all(self._ask(*first(sequence)) for sequence in SEQUENCES)

    def _ask(self, path: str, body: bytes) -> bool:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})  # noqa: S310  http, our own
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310  as above
                return bool(answer.status == 200)
        except OSError:
            return False


def measure(options: Options) -> list[Figure]:
    """Measure each server by turns with the service, with wrk. Each connection has its own sequence and thread."""
    figures: list[Figure] = []
    with Service(options.store) as service:
        lines = step_lines(service.open_sessions(CONNECTIONS))
        own = Wrk(service.fast_url, lines, service.folder, threads=CONNECTIONS, headers=service.headers)
        plain = BentoServer(BARE_STEP_SERVICE)
        figures += _against("plain BentoML", plain, baseline_step(CONNECTIONS), own, options)
        for other in OTHERS:
            try:
                server = OtherServer(other)
            except Unavailable as error:
                print(error)
            else:
                figures += _against(other.title, server, [other.step(each) for each in SEQUENCES], own, options)
    return figures


def _against(title: str, server: Server, lines: Sequence[Line], own: Wrk, options: Options) -> list[Figure]:
    with server:
        other = Wrk(server.url, lines, server.folder, threads=CONNECTIONS)
        ours, theirs = alternate(title, {"Unrolled": own, title: other}, options.rounds, options.seconds).values()
    return [
        rate(title, theirs, "steps/s"),
        milliseconds(title, theirs),
        tail(title, theirs, None),
        multiple(f"Unrolled, of {title}", ours, theirs, None),
        rate("Unrolled meanwhile", ours, "steps/s"),
    ]


def _can_import(python: Path, package: str) -> bool:
    command = [str(python), "-c", f"import {package}"]
    return python.exists() and subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603  our own words
