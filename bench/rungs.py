"""`python -m bench rungs`: unrolled rungs, float32 and int8, against the fused LSTM operator, in turn in one process.

All three read the same characters from the same state with the weights of the shipped character model. Each turn takes
a few milliseconds. A ratio is the median of the ratios of consecutive turns.
"""

import time
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
import onnxruntime as ort

from bench.baselines import GENERATION
from bench.figure import Figure
from bench.fused_rung import fused_rung
from bench.options import Options
from bench.raw import draw, filled
from export.int8.quantize import RANGES, quantize_graph
from service.bundle.graph import open_graph
from service.bundle.manifest import Bundle, read_bundle
from service.bundle.session_options import CPU_PROVIDER, session_options
from service.engine.state import Array

STAGE = "encode"
SIZES = (1, 8, 32)
ROWS = (1, 16, 64)
FUSED = "fused"
# Limits as multiples of the fused operator's rate: for one row, and for 16 and more.
LIMITS = {"float32": (0.7, 0.85), "int8": (1.0, 1.5)}
TURN_SECONDS = 0.004
TURNS = 20  # per round: short and alternating quickly, since the load from other programs varies


def measure(options: Options) -> list[Figure]:
    """Measure the fused operator's rows per second, and each ladder's as a multiple of it, for all T and N."""
    bundle = read_bundle(GENERATION)
    return [
        figure
        for T in SIZES
        for graphs in [open_rungs(bundle, T)]
        for N in ROWS
        for figure in _figures(durations(graphs, feeds(bundle, T, N), options), T, N)
    ]


def open_rungs(bundle: Bundle, T: int) -> dict[str, ort.InferenceSession]:
    """Open the three graphs of T steps, the fused one first, with the options that serve."""
    stage = bundle.manifest.stage(STAGE)
    quantized = onnx.load(bundle.file(stage.rungs[T]))
    quantize_graph(quantized, RANGES[bundle.manifest.task.kind, bundle.manifest.cell])
    return {
        FUSED: _open(fused_rung(bundle, T)),
        "float32": open_graph(bundle, stage, T),
        "int8": _open(quantized.SerializeToString()),
    }


def feeds(bundle: Bundle, T: int, N: int) -> dict[str, Array]:
    """Draw characters, with a fresh state."""
    reads = bundle.manifest.stage(STAGE).reads
    state = {spec.name: filled(spec, N, T) for spec in bundle.manifest.state if spec.name in reads}
    return {**draw(bundle, STAGE, T, N, np.random.default_rng(0)), **state}


def durations(
    graphs: Mapping[str, ort.InferenceSession], inputs: Mapping[str, Array], options: Options
) -> dict[str, Array]:
    """Measure the seconds per call of each graph, one number per turn."""
    for graph in graphs.values():
        _turn(graph, inputs)
    rounds = [[_turn(graph, inputs) for graph in graphs.values()] for _ in range(TURNS * options.rounds)]
    return dict(zip(graphs, np.array(rounds).T, strict=True))


def _turn(graph: ort.InferenceSession, inputs: Mapping[str, Array]) -> float:
    started, calls, elapsed = time.perf_counter(), 0, 0.0
    while elapsed < TURN_SECONDS:
        graph.run(None, inputs)
        calls += 1
        elapsed = time.perf_counter() - started
    return elapsed / calls


def _figures(seconds: Mapping[str, Array], T: int, N: int) -> Iterator[Figure]:
    fused = seconds[FUSED]
    yield Figure(f"T = {T:2}, N = {N:2}: fused LSTM operator", float(T * N / np.median(fused)), "rows/s")
    for name, (alone, together) in LIMITS.items():
        limit = alone if N == 1 else together
        yield Figure(
            f"T = {T:2}, N = {N:2}: {name} rung of it", float(np.median(fused / seconds[name])), "x", at_least=limit
        )


def _open(model: bytes) -> ort.InferenceSession:
    return ort.InferenceSession(model, session_options(), providers=[CPU_PROVIDER])
