"""One connection, one step: HTTP and WebSocket against a bare call of onnxruntime with one row."""

from contextlib import ExitStack

from bench.baselines import GENERATION
from bench.clients.loop import http_one_by_one, websocket_one_by_one
from bench.compare import latency, milliseconds, tail, tail_milliseconds
from bench.figure import Figure
from bench.load import Load, alternate
from bench.measurement_process import MeasurementProcess
from bench.options import Options
from bench.raw import STEP, RawLoop
from bench.requests import step_frames, step_requests
from bench.service import Service

P50_LIMIT = 4.0
P99_LIMIT = 3.0


def measure(options: Options) -> list[Figure]:
    """Measure p50 as a multiple of a raw run's, and p99 as a multiple of p50."""
    with ExitStack() as stack:
        service = stack.enter_context(Service(options.store))
        (requests,) = step_requests(service, service.open_sessions(1))
        (frames,) = step_frames(service.open_sessions(1))
        sides: dict[str, MeasurementProcess[Load]] = {
            "raw": MeasurementProcess(RawLoop, GENERATION, STEP, 1, 1),
            "HTTP": MeasurementProcess(http_one_by_one, service.fast_address, requests),
            "WebSocket": MeasurementProcess(websocket_one_by_one, service.fast_address, frames, service.headers),
        }
        runs = {name: stack.enter_context(side).run for name, side in sides.items()}
        loads = alternate("latency", runs, options.rounds, options.seconds)
    raw = loads.pop("raw")
    figures = [milliseconds("raw onnxruntime, one row", raw)]
    for name, own in loads.items():
        title = f"{name}, one connection"
        figures += [
            latency(title, own, raw, P50_LIMIT),
            tail(title, own, P99_LIMIT),
            milliseconds(title, own),
            tail_milliseconds(title, own),
        ]
    return figures
