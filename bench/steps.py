"""`POST /steps`: 64 sessions per request, four in flight, against onnxruntime alone on the same rung and 64 rows."""

from contextlib import ExitStack

from bench.baselines import GENERATION
from bench.clients.http import request
from bench.clients.loop import http_loop
from bench.compare import client, share
from bench.figure import Figure
from bench.load import Load, alternate
from bench.measurement_process import MeasurementProcess
from bench.options import Options
from bench.raw import STEP, RawLoop
from bench.requests import BINARY, binary_steps, json_steps, tokens
from bench.service import Service

ROWS = 64
IN_FLIGHT = 4
LIMIT_PERCENT = 60.0
SIZES = (1, 8)  # items per step, and so the rung
SUCCESSES = (b'"status":200', ROWS)
FORMS = [("binary", "argmax"), ("binary", "logits"), ("json", "none"), ("json", "argmax")]


def measure(options: Options) -> list[Figure]:
    """Measure binary steps without outputs against a limit for each rung, other forms and `commit` for the record."""
    with ExitStack() as stack:
        service = stack.enter_context(Service(options.store))
        commit = stack.enter_context(Service(options.store, {"UNROLLED_DURABILITY": "commit"}))
        runs = {}
        sessions = open_batches(service)
        for size in SIZES:
            raw = MeasurementProcess(RawLoop, GENERATION, STEP, size, ROWS)
            runs[f"raw, T = {size}"] = stack.enter_context(raw).run
            stepping = steps_client(service, sessions, "binary", "none", size)
            runs[f"T = {size}"] = stack.enter_context(stepping).run
        recorded = {f"{form}, {returned}": steps_client(service, sessions, form, returned) for form, returned in FORMS}
        recorded["binary, none, commit"] = steps_client(commit, open_batches(commit), "binary", "none")
        runs |= {name: stack.enter_context(stepping).run for name, stepping in recorded.items()}
        loads = alternate("steps", runs, options.rounds, options.seconds)
    figures: list[Figure] = []
    for size in SIZES:
        title, own = f"POST /steps binary, none, T = {size}", loads[f"T = {size}"]
        figures += share(title, own, loads[f"raw, T = {size}"], LIMIT_PERCENT)
        figures.append(client(title, own))
    for name in recorded:
        figures += share(f"POST /steps {name}", loads[name], loads["raw, T = 1"], None)
    return figures


def open_batches(service: Service) -> list[list[str]]:
    """Open different sessions for each request in flight."""
    return [service.open_sessions(ROWS) for _ in range(IN_FLIGHT)]


def steps_client(
    service: Service, batches: list[list[str]], form: str, returned: str, size: int = 1
) -> MeasurementProcess[Load]:
    """Make a client with one connection per batch. It counts items."""
    requests = [[_request(service, batch, form, returned, size)] for batch in batches]
    return MeasurementProcess(http_loop, service.fast_address, requests, ROWS * size, SUCCESSES)


def _request(service: Service, batch: list[str], form: str, returned: str, size: int) -> bytes:
    ids = tokens(len(batch), size)
    if form == "json":
        return request("/steps", json_steps(batch, ids, returned), service.headers)
    body, headers = binary_steps(batch, ids, returned)
    return request("/steps", body, {**service.headers, **headers}, BINARY)
