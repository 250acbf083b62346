"""A language model that writes a script, from where its state stands: what was read and written is counted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.bundle.manifest import Bundle, Manifest
from service.engine.state import Array

SAMPLING = [
    {"name": "uniforms", "dtype": "float32", "shape": ["N", "T"]},
    {"name": "temperature", "dtype": "float32", "shape": ["N"]},
    {"name": "top_k", "dtype": "int64", "shape": ["N"]},
    {"name": "top_p", "dtype": "float32", "shape": ["N"]},
    {"name": "remaining", "dtype": "int64", "shape": ["N"]},
]
STATE = ["count", "pending_logits"]
DECODE = {
    "name": "decode",
    "fit": "covering",
    "rungs": {size: f"decode-{size}.onnx" for size in (2, 4)},
    "inputs": SAMPLING,
    "outputs": [{"name": "tokens", "dtype": "int64", "shape": ["N", "T"]}],
    "reads": STATE,
    "writes": STATE,
}


def encode_stage(num_tokens: int) -> dict[str, Any]:
    """Reads tokens, of which only the number counts."""
    return {
        "name": "encode",
        "rungs": {size: f"encode-{size}.onnx" for size in (1, 4)},
        "inputs": [{"name": "x", "dtype": "int64", "shape": ["N", "T"]}],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": ["N", "T", num_tokens]}],
        "reads": ["count"],
        "writes": STATE,
    }


class ScriptGraphs:
    """Writes the tokens of a script, the next one after as many as were read or written; then from its beginning again.

    The logits of the next token of the script are 1, all others 0. The stage "look" puts the state at the first pixel's
    place of the script.

    Attributes:
        num_runs: Of the stage "decode".

    Args:
        task: What the manifest says of it.
        stages: Its stages.
        script: Tokens.
        num_tokens: How many there are.
    """

    def __init__(self, task: Mapping[str, Any], stages: list[Any], script: Sequence[int], num_tokens: int) -> None:
        files = {file: "0" * 64 for stage in stages for file in stage["rungs"].values()}
        state = [
            {"name": "count", "dtype": "int64", "shape": ["N", 1], "initial": 0},
            {"name": "pending_logits", "dtype": "float32", "shape": ["N", num_tokens], "initial": 0},
        ]
        manifest = {
            "format_version": 1,
            "name": "script",
            "cell": "none",
            "task": task,
            "stages": stages,
            "state": state,
            "licence": "MIT",
            "command": "by hand",
            "files": files,
        }
        self.bundle = Bundle(Path("nowhere"), Manifest.model_validate(manifest), "0")
        self.num_runs = 0
        self._script = np.array(script)
        self._num_tokens = num_tokens

    def run(self, stage: str, rung: int, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        """One run of a rung."""
        if stage == "look":
            return self._answer({}, feeds["x"][:, 0, :1].astype(np.int64), names)
        places = feeds["count"] + np.arange(rung)
        if stage == "encode":
            return self._answer({"logits": self._logits(places + 1)}, feeds["count"] + rung, names)
        self.num_runs += 1
        remaining = feeds["remaining"][:, None]
        written = self._script[places % len(self._script)]
        tokens = np.where(np.arange(rung) < remaining, written, -1)
        return self._answer({"tokens": tokens}, feeds["count"] + np.minimum(remaining, rung), names)

    def _answer(self, outputs: dict[str, Array], count: Array, names: Sequence[str]) -> list[Array]:
        state = {"count_next": count, "pending_logits_next": self._logits(count)[:, 0]}
        return [{**outputs, **state}[name] for name in names]

    def _logits(self, places: Array) -> Array:
        return np.eye(self._num_tokens, dtype=np.float32)[self._script[places % len(self._script)]]
