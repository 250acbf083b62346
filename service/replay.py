"""The inputs that a session keeps on request, so that another bundle version may read them all again. Pure.

JSON lines: {"step": 3, "inputs": {...}}. What is left to chance is seeded by the session and the step, so a replay on
the same version gives the same state.
"""

from collections.abc import Iterator
from typing import Any

import orjson


def appended(kept: bytes | None, step: int, inputs: dict[str, Any], max_bytes: int) -> bytes | None:
    """The kept inputs with those of one more step, or None once they outgrow the limit: part of them is of no use."""
    if kept is None:
        return None
    line = orjson.dumps({"step": step, "inputs": inputs}, option=orjson.OPT_APPEND_NEWLINE)
    return kept + line if len(kept) + len(line) <= max_bytes else None


def kept_steps(kept: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number and the inputs of each step, in order."""
    for line in kept.splitlines():
        entry = orjson.loads(line)
        yield entry["step"], entry["inputs"]
