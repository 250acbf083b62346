"""One connection, one step: HTTP and WebSocket against a bare call of onnxruntime with one row."""

from contextlib import ExitStack

from bench.apart import Apart
from bench.clients.loop import http_one_by_one, websocket_one_by_one
from bench.compare import latency, milliseconds, tail
from bench.figure import Figure
from bench.load import alternate
from bench.options import Options
from bench.raw import STEP, RawLoop
from bench.requests import step_frames, step_requests
from bench.service import BUNDLE, Service

P50_LIMIT = 4.0
P99_LIMIT = 3.0


def measure(options: Options) -> list[Figure]:
    """p50 in raw runs, p99 in p50s."""
    with ExitStack() as stack:
        service = stack.enter_context(Service(options.store))
        (requests,), (frames,) = (
            step_requests(service, service.open_sessions(1)),
            step_frames(service.open_sessions(1)),
        )
        runs = {
            "raw": stack.enter_context(Apart(RawLoop, BUNDLE, STEP, 1, 1)).run,
            "HTTP": stack.enter_context(Apart(http_one_by_one, service.fast_address, requests)).run,
            "WebSocket": stack.enter_context(
                Apart(websocket_one_by_one, service.fast_address, frames, service.headers)
            ).run,
        }
        raw, *sides = alternate("latency", runs, options.rounds, options.seconds)
    figures = [milliseconds("raw onnxruntime, one row", raw)]
    for name, loads in zip(list(runs)[1:], sides, strict=True):
        title = f"{name}, one connection"
        figures += [latency(title, loads, raw, P50_LIMIT), tail(title, loads, P99_LIMIT), milliseconds(title, loads)]
    return figures
