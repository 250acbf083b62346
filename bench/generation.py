"""`POST /generate`: 64 streams and one, against the decode rung of onnxruntime alone in a loop."""

from contextlib import ExitStack

import orjson

from bench.baselines import GENERATION
from bench.clients.http import request
from bench.clients.loop import http_loop
from bench.compare import share
from bench.figure import Figure
from bench.load import Load, alternate
from bench.measurement_process import MeasurementProcess
from bench.options import Options
from bench.raw import DECODE, RawLoop, largest_rung
from bench.service import Service

STREAMS = (64, 1)
LIMIT_PERCENT = 70.0
CHARACTERS = 512
UNIT = "characters/s"


def measure(options: Options) -> list[Figure]:
    """Measure texts of 512 characters: streamed ones against the limit, whole ones for the record."""
    size = largest_rung(GENERATION, DECODE)
    figures: list[Figure] = []
    with Service(options.store) as service:
        for streams in STREAMS:
            with ExitStack() as stack:
                runs = {
                    "raw": stack.enter_context(MeasurementProcess(RawLoop, GENERATION, DECODE, size, streams)).run,
                    "streamed": stack.enter_context(generation_client(service, streams, True)).run,
                    "whole": stack.enter_context(generation_client(service, streams, False)).run,
                }
                title = f"POST /generate, {streams} streams" if streams > 1 else "POST /generate, one stream"
                raw, streamed, whole = alternate(title, runs, options.rounds, options.seconds).values()
            figures += share(title, streamed, raw, LIMIT_PERCENT, UNIT)
            figures += share(f"{title}, not streamed", whole, raw, None, UNIT)
    return figures


def generation_client(service: Service, streams: int, is_streamed: bool) -> MeasurementProcess[Load]:
    """Make a client with one connection per stream."""
    requests = [[request("/generate", _body(seed, is_streamed), service.headers)] for seed in range(streams)]
    return MeasurementProcess(http_loop, service.address, requests, CHARACTERS, (b'"finish_reason":"length"', 1))


def _body(seed: int, is_streamed: bool) -> bytes:
    sampling = {"prompt": "ROMEO:", "max_tokens": CHARACTERS, "temperature": 0.8, "seed": seed}
    return orjson.dumps({**sampling, "stream": is_streamed})
