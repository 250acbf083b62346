"""`WS /stream` with 64 connections and one step in flight on each, against onnxruntime alone at T = 1 and 64 rows."""

from contextlib import ExitStack

from bench.baselines import GENERATION
from bench.clients.loop import websocket_loop
from bench.compare import client, share
from bench.figure import Figure
from bench.load import alternate
from bench.measurement_process import MeasurementProcess
from bench.options import Options
from bench.raw import STEP, RawLoop
from bench.requests import step_frames
from bench.service import Service

CONNECTIONS = 64
LIMIT_PERCENT = 25.0


def measure(options: Options) -> list[Figure]:
    """Measure steps over connections that have one session each."""
    with ExitStack() as stack:
        service = stack.enter_context(Service(options.store))
        frames = step_frames(service.open_sessions(CONNECTIONS))
        raw = stack.enter_context(MeasurementProcess(RawLoop, GENERATION, STEP, 1, CONNECTIONS))
        stream = stack.enter_context(MeasurementProcess(websocket_loop, service.fast_address, frames, service.headers))
        runs = {"raw": raw.run, "stream": stream.run}
        raw_loads, loads = alternate("websocket", runs, options.rounds, options.seconds).values()
    name = f"WS /stream, {CONNECTIONS} connections"
    return [*share(name, loads, raw_loads, LIMIT_PERCENT), client(name, loads)]
