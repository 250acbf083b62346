"""Graphs of taggers that tell what has reached them.

A tag says how a word begins and ends, and how many words were read before it from the left.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.bundle.manifest import Bundle, Manifest
from service.engine.state import Array
from training.text.english import english_tokenizer

CHARACTERS = ("a", "b", "c")
TAGS = tuple(f"{first}{last}{place}" for first in "?abc" for last in "?abc" for place in range(4))


def stage(
    name: str, inputs: Sequence[tuple[str, list[Any]]], output: tuple[str, int], carried: str | None
) -> dict[str, Any]:
    return {
        "name": name,
        "direction": "backward" if "backward" in name else "forward",
        "rungs": {size: f"{name}-{size}.onnx" for size in (1, 2)},
        "inputs": [
            {"name": key, "dtype": "int64" if len(shape) == 2 else "float32", "shape": shape} for key, shape in inputs
        ],
        "outputs": [{"name": output[0], "dtype": "float32", "shape": ["N", "T", output[1]]}],
        "reads": [carried] if carried else [],
        "writes": [carried] if carried else [],
    }


IDS = ("x", ["N", "T"])
SPELT = [IDS, ("characters", ["N", "T", 2])]
ONCE_SPELT = [IDS, ("characters", ["N", "T", 1])]
STATE = [
    *(
        {"name": f"characters_{side}_h", "dtype": "float32", "shape": ["N", 1], "initial": 0}
        for side in ("forward", "backward")
    ),
    {"name": "count", "dtype": "float32", "shape": ["N", 1], "initial": 0},
]
OVER_CHARACTERS = [
    stage(f"characters_{side}", [IDS], ("features", 1), f"characters_{side}_h") for side in ("forward", "backward")
]
WHOLE = [
    *OVER_CHARACTERS,
    stage("forward1", SPELT, ("features", 3), "count"),
    stage("backward1", SPELT, ("features", 3), "count"),
    stage("head", [("x", ["N", "T", 6])], ("logits", len(TAGS)), None),
]
STREAMING = [OVER_CHARACTERS[0], stage("encode", ONCE_SPELT, ("logits", len(TAGS)), "count")]


class TellingGraphs:
    """Graphs whose answers are what they were given.

    Attributes:
        runs: (stage, size, rows) of every run.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.runs: list[tuple[str, int, int]] = []

    def run(self, name: str, size: int, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        """One run of a rung."""
        x = feeds["x"]
        self.runs.append((name, size, len(x)))
        outputs: dict[str, Array] = {}
        if name.startswith("characters"):
            outputs = {"features": x[..., None].astype(np.float32), f"{name}_h_next": x[:, -1:].astype(np.float32)}
        elif name == "head":
            np.testing.assert_array_equal(x[..., :2], x[..., 3:5])  # both directions, each word in its place
            outputs = {"logits": self._logits(x[..., 1], x[..., 0], x[..., 2])}
        else:
            place = feeds["count"] + np.arange(x.shape[1], dtype=np.float32)  # (N, T)
            outputs = {"count_next": feeds["count"] + size}
            if name == "encode":
                last = feeds["characters"][..., 0]
                outputs["logits"] = self._logits(np.zeros_like(last), last, place)
            else:
                outputs["features"] = np.concatenate([feeds["characters"], place[..., None]], axis=2)
        return [outputs[each].astype(np.float32) for each in names]

    @staticmethod
    def _logits(first: Array, last: Array, place: Array) -> Array:
        tag = (16 * first + 4 * last + np.minimum(place, 3)).astype(np.int64)
        return np.asarray(10 * np.eye(len(TAGS))[tag])


def make_graphs(directory: Path, stages: list[Any], scheme: str = "words", name: str = "telling") -> TellingGraphs:
    english_tokenizer(["a", "bc"]).save(str(directory / "tokenizer.json"))
    files = {file: "0" * 64 for each in stages for file in each["rungs"].values()} | {"tokenizer.json": "0" * 64}
    manifest = {
        "format_version": 1,
        "name": name,
        "cell": "none",
        "task": {"kind": "tagging", "tags": TAGS, "scheme": scheme, "characters": CHARACTERS, "longest_word": 40},
        "stages": stages,
        "state": STATE,
        "licence": "MIT",
        "command": "by hand",
        "files": files,
    }
    return TellingGraphs(Bundle(directory, Manifest.model_validate(manifest), "0"))
