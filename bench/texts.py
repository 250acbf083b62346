"""Whole texts of SST's lengths: cellular batching against padding, in process and over HTTP.

In process, the engine has 64 texts in flight. The other side pads batches of 64 in the order of arrival and runs the
same model with fused operators. The limit is on the LSTM of two layers of 256 (the generation bundle, which reads
random characters in texts of those lengths). The sentiment GRU is for the record.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.baselines import GENERATION, MODELS
from bench.baselines.bento_server import TEXT_SERVICE, BentoServer
from bench.baselines.fused import FusedModel
from bench.clients.wrk import Wrk
from bench.compare import multiple, rate
from bench.figure import Figure
from bench.load import Load, Stopwatch, alternate
from bench.measurement_process import MeasurementProcess
from bench.options import Options
from bench.raw import num_tokens
from bench.requests import step_path
from bench.sentences import sentences, word_ids
from bench.service import Service
from service.bundle.manifest import read_bundle
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.engine.state import RowLayout
from service.metrics import Metrics

IN_FLIGHT = 64
ENGINE_LIMIT, HTTP_LIMIT = 2.0, 3.0
UNIT = "texts/s"

Text = NDArray[np.int64]


def measure(options: Options) -> list[Figure]:
    """Measure in process, then over HTTP."""
    texts = sentences(options.texts)
    return [*_in_process(texts, options), *_over_http(texts, options)]


class EngineLoop:
    """Sends texts through the engine, 64 in flight, and reads their logits."""

    def __init__(self, path: Path, texts: Sequence[Text]) -> None:
        runtime = Runtime(read_bundle(path))
        runtime.open_all()
        runtime.warm_up()
        self._runtime = runtime
        self._initial = RowLayout(runtime.bundle.manifest.state).initial
        self._texts = itertools.cycle(texts)

    def __call__(self, seconds: float) -> Load:
        """Start texts for `seconds`, then finish those in flight."""
        return asyncio.run(self._run(seconds))

    async def _run(self, seconds: float) -> Load:
        engine = Engine(self._runtime, Metrics().observer(self._runtime.bundle.tag), max_batch_rows=IN_FLIGHT)
        engine.start()
        watch = Stopwatch()
        latencies: list[float] = []
        fresh = iter(itertools.takewhile(lambda _: time.perf_counter() < watch.started + seconds, self._texts))
        await asyncio.gather(*(self._read(engine, fresh, latencies) for _ in range(IN_FLIGHT)))
        load = watch.load(len(latencies), latencies)
        await engine.stop()
        return load

    async def _read(self, engine: Engine, fresh: Iterator[Text], latencies: list[float]) -> None:
        for text in fresh:
            started = time.perf_counter()
            await engine.advance("encode", self._initial, {"x": text}, len(text), ["logits"])
            latencies.append(time.perf_counter() - started)


class PaddedLoop:
    """Runs batches of 64 texts, padded, in the order of arrival, through the fused model."""

    def __init__(self, path: Path, texts: Sequence[Text]) -> None:
        self._model = FusedModel(path)
        self._texts = itertools.cycle(texts)

    def __call__(self, seconds: float) -> Load:
        """Run batches for `seconds`."""
        watch = Stopwatch()
        durations: list[float] = []
        while (started := time.perf_counter()) < watch.started + seconds:
            self._model.logits(list(itertools.islice(self._texts, IN_FLIGHT)))
            durations.append(time.perf_counter() - started)
        return watch.load(len(durations) * IN_FLIGHT, durations)


def _in_process(texts: Sequence[str], options: Options) -> list[Figure]:
    words = word_ids(texts)
    generator = np.random.default_rng(0)
    V = num_tokens(read_bundle(GENERATION))
    characters = [generator.integers(0, V, len(text)) for text in words]
    figures: list[Figure] = []
    for name, path, ids, limit in (
        ("LSTM of 2 layers of 256", GENERATION, characters, ENGINE_LIMIT),
        ("sentiment GRU", MODELS / "sentiment", words, None),
    ):
        with MeasurementProcess(PaddedLoop, path, ids) as padded, MeasurementProcess(EngineLoop, path, ids) as engine:
            runs = {"padded": padded.run, "engine": engine.run}
            padded_loads, loads = alternate(f"texts, {name}", runs, options.rounds, options.seconds).values()
        title = f"texts through the engine, {name}"
        figures += [multiple(f"{title}, of padded", loads, padded_loads, limit), rate(title, loads, UNIT)]
    return figures


def _over_http(texts: Sequence[str], options: Options) -> list[Figure]:
    with ExitStack() as stack:
        service = stack.enter_context(Service(options.store))
        baseline = stack.enter_context(BentoServer(TEXT_SERVICE))
        ours = [("/sentiment", orjson.dumps({"text": text, "model": "sentiment"})) for text in texts]
        theirs = [("/classify", orjson.dumps({"texts": [text]})) for text in texts]
        runs = {
            "baseline": Wrk(baseline.url, theirs, baseline.folder, IN_FLIGHT),
            "second port": Wrk(service.fast_url, ours, service.folder, IN_FLIGHT, headers=service.headers),
            "BentoML's port": Wrk(service.url, ours, service.folder, IN_FLIGHT, headers=service.headers),
        }
        runs["step"] = Wrk(
            service.fast_url, _steps(service, texts), service.folder, IN_FLIGHT, IN_FLIGHT, service.headers
        )
        plain, fast, slow, step = alternate("texts, HTTP", runs, options.rounds, options.seconds).values()
    figures = [rate("plain BentoML batchable API, texts", plain, UNIT)]
    for title, own, limit in (
        ("POST /sentiment, second port, a text each", fast, HTTP_LIMIT),
        ("POST /sentiment, BentoML's port, a text each", slow, None),
        ("POST /sessions/{id}/steps, second port, a text each", step, None),
    ):
        figures += [multiple(f"{title}, of a plain BentoML API", own, plain, limit), rate(title, own, UNIT)]
    return figures


def _steps(service: Service, texts: Sequence[str]) -> list[tuple[str, bytes]]:
    """Return every text as a step of a session, with one session per connection."""
    session_ids = itertools.cycle(service.open_sessions(IN_FLIGHT, "sentiment"))
    return [
        (step_path(session_id), orjson.dumps({"inputs": {"text": text}}))
        for session_id, text in zip(session_ids, texts, strict=False)
    ]
