"""A bundle without files whose graphs are three lines of numpy: enough for an engine, exact enough to check it."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from service.bundle.manifest import Bundle, Manifest
from service.state import Array, Row

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
            ],
            "reads": ["total"],
            "writes": ["total"],
        },
        {
            "name": "forecast",
            "rungs": {2: "forecast-2.onnx"},
            "inputs": [{"name": "scale", "dtype": "int64", "shape": ["N"]}],
            "outputs": [{"name": "multiples", "dtype": "int64", "shape": ["N", "T"]}],
            "reads": ["total"],
            "writes": [],
        },
    ],
    "state": [{"name": "total", "dtype": "int64", "shape": ["N"], "initial": 0}],
    "licence": "MIT",
    "command": "none",
    "files": dict.fromkeys(("encode-1.onnx", "encode-4.onnx", "forecast-2.onnx", "tokenizer.json"), "0" * 64),
}


class SumGraphs:
    """Running sums. An item of -1 makes the whole run fail, as a bad row would in onnxruntime.

    Attributes:
        runs: (stage, size, rows) of every run.
        gate: Runs wait until it is set, so that a test can arrange what waits meanwhile.
    """

    def __init__(self) -> None:
        self.bundle = Bundle(Path("nowhere"), Manifest.model_validate(SUM_MANIFEST), "0")
        self.runs: list[tuple[str, int, int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def run(self, stage: str, size: int, rows: Sequence[Row]) -> list[dict[str, Array]]:
        assert self.gate.wait(timeout=10)
        self.runs.append((stage, size, len(rows)))
        if stage == "forecast":
            return [{"multiples": row["total"] * row["scale"] * np.arange(1, size + 1)} for row in rows]
        if any((row["x"] == -1).any() for row in rows):
            raise RuntimeError("a run failed on -1")
        assert all(row["x"].shape == (size,) for row in rows)
        sums = [row["total"] + np.cumsum(row["x"]) for row in rows]
        return [{"sums": s, "last": s[-1], "total_next": s[-1]} for s in sums]


class RecordingObserver:
    """Remembers what it was told of."""

    def __init__(self) -> None:
        self.steps = 0
        self.waits: list[float] = []

    def ran(self, stage: str, size: int, waits: Sequence[float], duration_seconds: float, num_steps: int) -> None:
        self.steps += num_steps
        self.waits.extend(waits)
