"""The inputs that a session keeps on request, so that another bundle version may read them all again. Pure.

JSON lines: {"step": 3, "inputs": {...}}, with the "secret" of the session that took the step where that was another,
from which this one was forked. What is left to chance is seeded by the secret and the step, so a replay on the same
version gives the same state.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson


class KeptStep(NamedTuple):
    """A step as it was taken.

    Attributes:
        step: Its number.
        inputs: What the client sent.
        secret: Hexadecimal, of the session that took it, where that was another one.
    """

    step: int
    inputs: dict[str, Any]
    secret: str | None = None


def appended(kept: bytes | None, step: int, inputs: dict[str, Any], max_bytes: int) -> bytes | None:
    """The kept inputs with those of one more step, or None once they outgrow the limit: part of them is of no use."""
    if kept is None:
        return None
    line = _line(KeptStep(step, inputs))
    return kept + line if len(kept) + len(line) <= max_bytes else None


def inherited(kept: bytes | None, secret: bytes, max_bytes: int) -> bytes | None:
    """A session's kept inputs as those of a fork, which has another secret. None if they outgrow the limit."""
    if kept is None:
        return None
    lines = [_line(step._replace(secret=step.secret or secret.hex())) for step in kept_steps(kept)]
    content = b"".join(lines)
    return content if len(content) <= max_bytes else None


def kept_steps(kept: bytes) -> Iterator[KeptStep]:
    """The steps, in order."""
    return (KeptStep(**orjson.loads(line)) for line in kept.splitlines())


def _line(step: KeptStep) -> bytes:
    fields = step._asdict() if step.secret else {"step": step.step, "inputs": step.inputs}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
