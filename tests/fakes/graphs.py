"""A bundle without files whose graphs are a few lines of numpy: enough for an engine, exact enough to check it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from service.bundle.manifest import Bundle, Manifest
from service.engine.state import Array, RowLayout

V = 5
BAD = 66  # makes the whole run fail, as a bad row would in onnxruntime
POISON = 13  # makes the row's trace and logits NaN from then on
SUM_MANIFEST = {
    "format_version": 1,
    "name": "sum",
    "cell": "sum",
    "task": {"kind": "sentiment", "labels": ["no", "yes"]},
    "stages": [
        {
            "name": "encode",
            "rungs": {1: "encode-1.onnx", 4: "encode-4.onnx"},
            "inputs": [{"name": "x", "dtype": "int64", "shape": ["N", "T"]}],
            "outputs": [
                {"name": "sums", "dtype": "int64", "shape": ["N", "T"]},
                {"name": "last", "dtype": "int64", "shape": ["N"]},
                {"name": "logits", "dtype": "float32", "shape": ["N", "T", V]},
            ],
            "reads": ["total", "trace"],
            "writes": ["total", "trace"],
        },
        {
            "name": "forecast",
            "fit": "covering",
            "rungs": {2: "forecast-2.onnx"},
            "inputs": [{"name": "scale", "dtype": "int64", "shape": ["N"]}],
            "outputs": [{"name": "multiples", "dtype": "int64", "shape": ["N", "T"]}],
            "reads": ["total"],
            "writes": [],
        },
    ],
    "state": [
        {"name": "total", "dtype": "int64", "shape": ["N"], "initial": 0},
        {"name": "trace", "dtype": "float32", "shape": [2, "N", 3], "initial": 0.5},
    ],
    "licence": "MIT",
    "command": "none",
    "files": dict.fromkeys(("encode-1.onnx", "encode-4.onnx", "forecast-2.onnx", "tokenizer.json"), "0" * 64),
}
LAYOUT = RowLayout(Manifest.model_validate(SUM_MANIFEST).state)


def sum_bundle(version: str = "0", **changes: object) -> Bundle:
    """The bundle of running sums."""
    return Bundle(Path("nowhere"), Manifest.model_validate({**SUM_MANIFEST, **changes}), version)


def sum_stages(**changes: object) -> list[dict[str, object]]:
    """The fake bundle's stages, with changes to the first."""
    first, *others = SUM_MANIFEST["stages"]  # type: ignore[misc]  # a dictionary of anything
    return [{**first, **changes}, *others]


def row_of(total: int) -> bytes:
    """A state row that has summed up so much."""
    return np.int64(total).tobytes() + LAYOUT.initial[8:]


def total_of(row: bytes) -> int:
    """What a state row has summed up."""
    return int(LAYOUT.tensor(row, "total"))


def logits_of(totals: Array) -> Array:
    """The logits (..., V) that stand for running totals."""
    return ((np.asarray(totals)[..., None] * 7 + np.arange(V) * 3) % 11).astype(np.float32)


class SumGraphs:
    """Running sums of items.

    Attributes:
        runs: (stage, rung, rows) of every run.
        gate: Runs wait until it is set, so that a test can arrange what waits meanwhile.
    """

    def __init__(self, bundle: Bundle | None = None) -> None:
        self.bundle = bundle or sum_bundle()
        self.runs: list[tuple[str, int, int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._stages: dict[str, Callable[[int, Mapping[str, Array]], dict[str, Array]]] = {
            "encode": _encode,
            "forecast": _forecast,
        }

    def run(self, stage: str, rung: int, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        """One run of a rung, as onnxruntime has it: the outputs that are named, in that order."""
        assert self.gate.wait(timeout=10)
        self.runs.append((stage, rung, len(feeds["total"])))
        outputs = self._stages[stage](rung, feeds)
        return [outputs[name] for name in names]


def _encode(rung: int, feeds: Mapping[str, Array]) -> dict[str, Array]:
    x, total, trace = feeds["x"], feeds["total"], feeds["trace"]
    if (x == BAD).any():
        raise RuntimeError("a run failed on a bad row")
    N = len(total)
    assert (x.shape, total.shape, trace.shape) == ((N, rung), (N,), (2, N, 3))
    sums = total[:, None] + np.cumsum(x, axis=1)
    is_poisoned = (x == POISON).any(axis=1)[None, :, None]
    trace_next = np.where(is_poisoned, np.float32("nan"), trace + x.sum(axis=1, dtype=np.float32)[:, None])
    logits = logits_of(sums) + trace_next[0, :, :1, None] * 0
    return {
        "sums": sums,
        "last": sums[:, -1],
        "logits": logits,
        "total_next": sums[:, -1],
        "trace_next": trace_next.astype(np.float32),
    }


def _forecast(rung: int, feeds: Mapping[str, Array]) -> dict[str, Array]:
    return {"multiples": (feeds["total"] * feeds["scale"])[:, None] * np.arange(1, rung + 1)}


class RecordingObserver:
    """Remembers what it was told of."""

    def __init__(self) -> None:
        self.steps = 0
        self.waits: list[float] = []

    def count_run(self, stage: str, rung: int, waits: Sequence[float], duration_seconds: float, num_steps: int) -> None:
        """One run more."""
        self.steps += num_steps
        self.waits.extend(waits)
