"""`POST /steps`: 64 sessions a request, four requests in flight, against onnxruntime alone at T = 1 and 64 rows."""

from contextlib import ExitStack

from bench.apart import Apart
from bench.clients.http import request
from bench.clients.loop import http_loop
from bench.clients.steps import BINARY, binary_steps, json_steps
from bench.compare import client, share
from bench.figure import Figure
from bench.load import Load, alternate
from bench.options import Options
from bench.raw import STEP, RawLoop
from bench.requests import tokens
from bench.service import BUNDLE, Service

ROWS = 64
IN_FLIGHT = 4
LIMIT_PERCENT = 60.0
SUCCESSES = (b'"status":200', ROWS)
FORMS = [("binary", "none"), ("binary", "argmax"), ("binary", "logits"), ("json", "none"), ("json", "argmax")]


def measure(options: Options) -> list[Figure]:
    """Binary without outputs has the limit; the other forms, and a disk that is waited for, are for the record."""
    with ExitStack() as stack:
        service = stack.enter_context(Service(options.store))
        commit = stack.enter_context(Service(options.store, {"UNROLLED_DURABILITY": "commit"}))
        raw = stack.enter_context(Apart(RawLoop, BUNDLE, STEP, 1, ROWS))
        runs = {"raw": raw.run}
        sessions = open_batches(service)
        for form, returned in FORMS:
            runs[f"{form}, {returned}"] = stack.enter_context(steps_client(service, sessions, form, returned)).run
        runs["binary, none, commit"] = stack.enter_context(
            steps_client(commit, open_batches(commit), "binary", "none")
        ).run
        raw_loads, *loads = alternate("steps", runs, options.rounds, options.seconds)
    figures: list[Figure] = []
    for index, (name, own) in enumerate(zip(list(runs)[1:], loads, strict=True)):
        figures += share(f"POST /steps {name}", own, raw_loads, LIMIT_PERCENT if index == 0 else None)
    return [*figures, client("POST /steps binary, none", loads[0])]


def open_batches(service: Service) -> list[list[str]]:
    """Sessions of each request that is in flight, none in two of them."""
    return [service.open_sessions(ROWS) for _ in range(IN_FLIGHT)]


def steps_client(service: Service, batches: list[list[str]], form: str, returned: str) -> Apart[Load]:
    """A client with a connection for each batch."""
    requests = [[_request(service, batch, form, returned)] for batch in batches]
    return Apart(http_loop, service.fast_address, requests, ROWS, SUCCESSES)


def _request(service: Service, batch: list[str], form: str, returned: str) -> bytes:
    ids = tokens(len(batch))
    if form == "json":
        return request("/steps", json_steps(batch, ids, returned), service.headers)
    body, headers = binary_steps(batch, ids, returned)
    return request("/steps", body, {**service.headers, **headers}, BINARY)
