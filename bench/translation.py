"""Translation through the engine: sentences per second of processor time, one at a time and 64 in flight, by beams.

The sentences are captions of about 12 words, like Multi30k's. Onnxruntime's share of the time is printed. The rest is
the search, the engine and the joining of rows.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.baselines import MODELS
from bench.figure import Figure, Unavailable
from bench.measurement_process import MeasurementProcess
from bench.options import Options
from service.bundle.manifest import read_bundle
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.tasks.translation import TranslationModel

BUNDLE = MODELS / "translation-de"
IN_FLIGHT = (1, 64)
BEAMS = (1, 5)
CAPTIONS = (
    "A man in a blue shirt is standing on a ladder cleaning a window.",
    "Two young girls are playing with a ball in the park.",
    "A group of people are sitting at a long table and eating.",
    "A brown dog runs through the snow with a stick in its mouth.",
    "A woman wearing sunglasses talks on her phone in front of a store.",
    "Children jump into a swimming pool.",
    "A man on a bicycle rides past a red bus in the middle of the city.",
    "An old man plays the guitar on a bench while a boy listens to him.",
)


class RunClock:
    """Adds up the seconds spent in onnxruntime."""

    seconds = 0.0

    def count_run(self, stage: str, rung: int, waits: Sequence[float], duration_seconds: float, num_steps: int) -> None:
        """Add a run."""
        self.seconds += duration_seconds


class TranslationLoop:
    """Translates captions through the engine, a number of them in flight."""

    def __init__(self, path: Path, beams: int, in_flight: int) -> None:
        self._runtime = Runtime(read_bundle(path))
        self._runtime.open_all()
        self._runtime.warm_up()
        self._beams = beams
        self._in_flight = in_flight

    def __call__(self, seconds: float) -> tuple[float, float, float]:
        """Translate for about `seconds`. Returns the number of sentences, processor seconds, and seconds in graphs."""
        return asyncio.run(self._run(seconds))

    async def _run(self, seconds: float) -> tuple[float, float, float]:
        clock = RunClock()
        engine = Engine(self._runtime, clock)
        engine.start()
        model = TranslationModel(self._runtime.bundle, engine)
        await self._translate(model, iter(CAPTIONS), [])  # a warm-up: the engine learns how long its runs take
        clock.seconds = 0.0
        translated: list[str] = []
        stop = time.perf_counter() + seconds
        started = time.process_time()
        fresh = itertools.takewhile(lambda _: time.perf_counter() < stop, itertools.cycle(CAPTIONS))
        await asyncio.gather(*(self._translate(model, fresh, translated) for _ in range(self._in_flight)))
        used = time.process_time() - started
        await engine.stop()
        return float(len(translated)), used, clock.seconds

    async def _translate(self, model: TranslationModel, fresh: Iterator[str], translated: list[str]) -> None:
        for text in fresh:
            answer = await model.translate([text], [("text",)], self._beams, attention=False)
            translated.append(answer.translations[0].text)


def measure(options: Options) -> list[Figure]:
    """Measure each number of beams, one at a time and many in flight.

    Raises:
        Unavailable: The bundle is missing.
    """
    if not BUNDLE.is_dir():
        raise Unavailable(f"there is no {BUNDLE}")
    figures: list[Figure] = []
    for beams, in_flight in itertools.product(BEAMS, IN_FLIGHT):
        with MeasurementProcess(TranslationLoop, BUNDLE, beams, in_flight) as loop:
            sentences, used, in_graphs = loop.run(options.seconds)
        name = f"translation, {beams} beam{'s' * (beams > 1)}, {in_flight} in flight"
        figures += [
            Figure(f"{name}, of one core", sentences / used, "texts/s"),
            Figure(f"{name}: in graphs", 100 * in_graphs / used, "%"),
        ]
    return figures
