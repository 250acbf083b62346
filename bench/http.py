"""`POST /sessions/{id}/steps` with 64 connections, against onnxruntime alone and a plain BentoML batchable API."""

from collections.abc import Callable
from contextlib import ExitStack

from bench.baselines import GENERATION
from bench.baselines.bento_server import BARE_STEP_SERVICE, STEP_SERVICE, BentoServer
from bench.clients.wrk import Wrk
from bench.compare import client, multiple, rate, share
from bench.figure import Figure
from bench.load import Load, alternate
from bench.measurement_process import MeasurementProcess
from bench.options import Options
from bench.raw import STEP, RawLoop
from bench.requests import baseline_step, step_lines
from bench.service import Service

CONNECTIONS = 64
LIMIT_PERCENT = 15.0
FAST_LIMIT, BENTOML_LIMIT = 15.0, 5.0


def measure(options: Options) -> list[Figure]:
    """Measure both ports and the baselines with wrk. Each connection has its own session and thread."""
    with ExitStack() as stack:
        service = stack.enter_context(Service(options.store))
        baseline, bare = (stack.enter_context(BentoServer(each)) for each in (STEP_SERVICE, BARE_STEP_SERVICE))
        lines = step_lines(service.open_sessions(CONNECTIONS))
        runs: dict[str, Callable[[float], Load]] = {
            "raw": stack.enter_context(MeasurementProcess(RawLoop, GENERATION, STEP, 1, CONNECTIONS)).run,
            "second port": Wrk(service.fast_url, lines, service.folder, threads=CONNECTIONS, headers=service.headers),
            "BentoML's port": Wrk(service.url, lines, service.folder, threads=CONNECTIONS, headers=service.headers),
            "bare baseline": Wrk(bare.url, baseline_step(CONNECTIONS), bare.folder, threads=CONNECTIONS),
            "baseline": Wrk(baseline.url, baseline_step(CONNECTIONS), baseline.folder, threads=CONNECTIONS),
        }
        raw, fast, slow, bare_plain, plain = alternate("http", runs, options.rounds, options.seconds).values()
    name = f"POST /sessions/{{id}}/steps, {CONNECTIONS} connections"
    return [
        *share(name, fast, raw, LIMIT_PERCENT),
        multiple(f"{name}, of a plain BentoML API", fast, plain, FAST_LIMIT),
        multiple(f"{name}, BentoML's port, of a plain BentoML API", slow, plain, BENTOML_LIMIT),
        rate(f"{name}, BentoML's port", slow),
        rate("plain BentoML batchable API, one step", plain),
        rate("the same without its metrics, access log and tracing", bare_plain),
        client(name, fast),
    ]
