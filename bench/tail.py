"""The tail of the latency: p99 and worst answer of 64 connections over a minute.

The loop is closed: a connection sends its next request when the last one is answered, so a stall delays the requests
behind it instead of adding them to the tail. p99 is what 64 such clients see, not what requests that arrive at a fixed
rate would see. The worst answer shows the longest stall either way.
"""

from bench.clients.loop import http_loop, websocket_loop
from bench.compare import client, milliseconds, rate, tail, tail_milliseconds
from bench.figure import Figure
from bench.load import Load
from bench.measurement_process import MeasurementProcess
from bench.options import Options
from bench.progress import watched
from bench.requests import step_frames, step_requests
from bench.service import Service

CONNECTIONS = 64
P99_LIMIT = 3.0
WARM_UP_SECONDS = 2.0


def measure(options: Options) -> list[Figure]:
    """Measure HTTP, then WebSocket. Every answer counts; there is no sampling."""
    with Service(options.store) as service:
        requests = step_requests(service, service.open_sessions(CONNECTIONS))
        frames = step_frames(service.open_sessions(CONNECTIONS))
        loops = {
            "HTTP": MeasurementProcess(http_loop, service.fast_address, requests),
            "WebSocket": MeasurementProcess(websocket_loop, service.fast_address, frames, service.headers),
        }
        loads = {name: _minute(name, loop, options.tail_seconds) for name, loop in loops.items()}
    return [figure for name, load in loads.items() for figure in _figures(name, load, options.tail_seconds)]


def _minute(name: str, loop: MeasurementProcess[Load], seconds: float) -> Load:
    with loop:
        loop.run(WARM_UP_SECONDS)
        return watched(f"tail, {name}", seconds, lambda: loop.run(seconds))


def _figures(name: str, load: Load, seconds: float) -> list[Figure]:
    title = f"{name}, {CONNECTIONS} connections, {seconds:.0f} s"
    loads = [load]
    return [
        tail(title, loads, P99_LIMIT),
        milliseconds(title, loads),
        tail_milliseconds(title, loads),
        Figure(f"{title}: worst", 1000 * load.latency.worst, "ms"),
        rate(title, loads),
        client(title, loads),
    ]
