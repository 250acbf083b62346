"""One step of a sequence with 64 connections, against other servers that run the same graph with their own batching.

Each has one copy of the model, batches of at most 64 rows, and the states in that copy's memory, lost with it. The
service keeps its promises meanwhile: owners, step numbers, records in the store (see docs/sessions.md). Programs are in
`bench.others`; `make bench-servers` makes a virtual environment for each.
"""

import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import orjson

from bench.baselines.bento_server import BARE_STEP_SERVICE, BentoServer
from bench.clients.wrk import Wrk
from bench.compare import milliseconds, multiple, rate, tail
from bench.figure import Figure, Unavailable
from bench.load import Load, alternate
from bench.options import Options
from bench.requests import V, baseline_step, step_lines
from bench.server import ROOT, Server, free_port
from bench.service import Service

ENVIRONMENTS = ROOT / ".venv-servers"
CONNECTIONS = 64
START_SECONDS = 180
ANSWER_SECONDS = 10

Line = tuple[str, bytes]


@dataclass(frozen=True)
class Other:
    """Another server.

    Attributes:
        title: Its name.
        program: Module of `bench.others`, and its arguments before the port.
        step: Makes path and body of a step of a sequence.
        first: Likewise of a sequence's first step.
    """

    title: str
    program: tuple[str, ...]
    step: Callable[[int], Line]
    first: Callable[[int], Line]


def _json_step(path: str, sequence: int) -> Line:
    return path, orjson.dumps({"sequence": sequence, "id": sequence % V})


def _mlserver_step(sequence: int) -> Line:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "INT64", "data": [sequence, sequence % V]}
    return "/v2/models/steps/infer", orjson.dumps({"inputs": [tensor]})


def _triton_step(sequence: int, is_first: bool = False) -> Line:
    tensor = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [sequence % V]}
    parameters = {"sequence_id": sequence, "sequence_start": is_first}
    return "/v2/models/steps/infer", orjson.dumps({"parameters": parameters, "inputs": [tensor]})


def _other(title: str, program: tuple[str, ...], step: Callable[[int], Line]) -> Other:
    return Other(title, program, step, step)


OTHERS = (
    _other("mosec", ("mosec_steps", "--address", "127.0.0.1", "--port"), partial(_json_step, "/inference")),
    Other("Triton's sequence batcher", ("triton_steps",), _triton_step, partial(_triton_step, is_first=True)),
    _other("LitServe", ("litserve_steps",), partial(_json_step, "/predict")),
    _other("MLServer", ("mlserver_steps",), _mlserver_step),
    _other("Ray Serve", ("ray_steps",), partial(_json_step, "/")),
)


class OtherServer(Server):
    """Another server. Entering the context also begins every sequence.

    Raises:
        Unavailable: Its virtual environment has not been made.
    """

    def __init__(self, other: Other) -> None:
        module, *arguments = other.program
        python = ENVIRONMENTS / module.removesuffix("_steps") / "bin" / "python"
        if not python.exists():
            raise Unavailable(f"{other.title} is not installed; make bench-servers does it")
        port = free_port()
        command = [str(python), "-m", f"bench.others.{module}", *arguments, str(port)]
        super().__init__(command, port, start_seconds=START_SECONDS)
        self._other = other

    @property
    def lines(self) -> list[Line]:
        """Path and body of a step of each sequence."""
        return [self._other.step(sequence) for sequence in range(1, CONNECTIONS + 1)]

    def _whole_environment(self) -> dict[str, str]:
        return {**super()._whole_environment(), "PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder)}

    def _answers(self) -> bool:
        """Whether the first steps of all sequences are answered."""
        return all(self._ask(*self._other.first(sequence)) for sequence in range(1, CONNECTIONS + 1))

    def _ask(self, path: str, body: bytes) -> bool:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})  # noqa: S310  http, our own
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310  as above
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def measure(options: Options) -> list[Figure]:
    """Measure all servers in turn with wrk. Each connection has its own sequence and thread."""
    with ExitStack() as stack:
        servers = [stack.enter_context(OtherServer(other)) for other in OTHERS]
        plain = stack.enter_context(BentoServer(BARE_STEP_SERVICE))
        service = stack.enter_context(Service(options.store))
        lines = step_lines(service.open_sessions(CONNECTIONS))
        runs: dict[str, Callable[[float], Load]] = {
            "Unrolled": Wrk(service.fast_url, lines, service.folder, threads=CONNECTIONS, headers=service.headers),
            "Unrolled, BentoML's port": Wrk(
                service.url, lines, service.folder, threads=CONNECTIONS, headers=service.headers
            ),
            "BentoML": Wrk(plain.url, baseline_step(CONNECTIONS), plain.folder, threads=CONNECTIONS),
        }
        for other, server in zip(OTHERS, servers, strict=True):
            runs[other.title] = Wrk(server.url, server.lines, server.folder, threads=CONNECTIONS)
        loads = alternate("servers", runs, options.rounds, options.seconds)
    own = loads["Unrolled"]
    figures: list[Figure] = []
    for title, load in loads.items():
        figures += [rate(title, load, "steps/s"), milliseconds(title, load), tail(title, load, None)]
        if load is not own:
            figures.append(multiple(f"Unrolled, of {title}", own, load, None))
    return figures
