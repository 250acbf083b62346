"""Measures onnxruntime alone on a bundle's graphs: one thread that feeds the state back, and nothing else.

Each loop runs in its own process (`bench.measurement_process`). The service's figures are divided by these.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.load import Load, Stopwatch
from service.bundle.graph import graph_inputs, graph_outputs, open_graph
from service.bundle.manifest import Bundle, read_bundle
from service.bundle.stage import StateSpec
from service.engine.state import Array

NUM_DRAWS = 16  # inputs drawn beforehand and used in turn
STEP, DECODE = "encode", "decode"


class RawLoop:
    """Runs one rung of one stage over and over.

    Args:
        path: Directory of a bundle for generation.
        stage: "encode" or "decode".
        rung: T, its length.
        num_rows: N, the batch.
    """

    def __init__(self, path: Path, stage: str, rung: int, num_rows: int) -> None:
        bundle = read_bundle(path)
        self._stage = bundle.manifest.stage(stage)
        self._graph = open_graph(bundle, self._stage, rung)
        self._names = [spec.name for spec in graph_outputs(bundle, self._stage)]
        self._weight = rung * num_rows
        self._state = {
            spec.name: filled(spec, num_rows, rung) for spec in bundle.manifest.state if spec.name in self._stage.reads
        }
        generator = np.random.default_rng(0)
        self._inputs = [draw(bundle, stage, rung, num_rows, generator) for _ in range(NUM_DRAWS)]

    def __call__(self, seconds: float) -> Load:
        """Run for `seconds`. Each run counts as N times T rows."""
        watch = Stopwatch()
        until = watch.started + seconds
        durations: list[float] = []
        started = watch.started
        while started < until:
            self._run(self._inputs[len(durations) % NUM_DRAWS])
            ended = time.perf_counter()
            durations.append(ended - started)
            started = ended
        return watch.load(len(durations) * self._weight, durations)

    def _run(self, inputs: Mapping[str, Array]) -> None:
        outputs = dict(zip(self._names, self._graph.run(self._names, {**inputs, **self._state}), strict=True))
        self._state = {name: outputs[f"{name}_next"] for name in self._state}


def largest_rung(path: Path, stage: str) -> int:
    """Return the longest T of a stage."""
    return max(read_bundle(path).manifest.stage(stage).rungs)


def num_tokens(bundle: Bundle) -> int:
    """Return V, the number of token ids."""
    (logits,) = (spec for spec in bundle.manifest.stage(STEP).outputs if spec.name == "logits")
    return int(logits.shape[-1])


def draw(bundle: Bundle, stage: str, rung: int, num_rows: int, generator: np.random.Generator) -> dict[str, Array]:
    """Draw inputs of a stage: tokens (N, T), or the inputs for sampling among all tokens at temperature 0.8."""
    V = num_tokens(bundle)
    drawn: dict[str, Array] = {
        "x": generator.integers(0, V, (num_rows, rung)),
        "uniforms": generator.random((num_rows, rung), dtype=np.float32),
        "temperature": np.full(num_rows, 0.8, dtype=np.float32),
        "top_k": np.full(num_rows, V),
        "top_p": np.ones(num_rows, dtype=np.float32),
        "remaining": np.full(num_rows, rung),
    }
    found = bundle.manifest.stage(stage)
    state = set(found.reads)
    return {spec.name: drawn[spec.name] for spec in graph_inputs(bundle, found) if spec.name not in state}


def filled(spec: StateSpec, num_rows: int, rung: int) -> Array:
    """Return a batch of a state tensor, filled with its initial value."""
    return np.full(spec.sized(num_rows, rung), spec.initial, dtype=spec.dtype)
