"""The inputs that a session keeps on request, so that another bundle version can reread them all. Pure.

Only steps that advance the session are kept, each with those of its inputs that its next state depends on.

JSON lines: {"step": 3, "inputs": {...}}, plus a "secret" if the step generated something in the session that this one
was forked from. Secret and step number seed the sampling, so a replay on the same version gives the same state. Earlier
versions added the secret to every inherited line.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

_SAMPLES = "generate"  # the only input that draws random numbers


class KeptStep(NamedTuple):
    """A step as it was taken.

    Attributes:
        step: Its number.
        inputs: What the client sent, as far as it advances the session.
        secret: Hexadecimal secret of the session that took the step, if that was another one and the step needs it.
    """

    step: int
    inputs: dict[str, Any]
    secret: str | None = None


def appended(kept: bytes, step: int, inputs: dict[str, Any], max_bytes: int) -> bytes | None:
    """Return the kept inputs with one more step's, or None if they outgrow the limit: a part of them is useless."""
    line = _line(KeptStep(step, inputs))
    return kept + line if len(kept) + len(line) <= max_bytes else None


def inherited(kept: bytes | None, secret: bytes, max_bytes: int) -> bytes | None:
    """Return a session's kept inputs for a fork, which has another secret, or None if they outgrow the limit."""
    if kept is None:
        return None
    content = b"".join([_line(_with_secret(step, secret.hex())) for step in kept_steps(kept)])
    return content if len(content) <= max_bytes else None


def kept_steps(kept: bytes) -> Iterator[KeptStep]:
    """Return the kept steps, in order."""
    return (KeptStep(**orjson.loads(line)) for line in kept.splitlines())


def _with_secret(step: KeptStep, secret: str) -> KeptStep:
    return step._replace(secret=(step.secret or secret) if _SAMPLES in step.inputs else None)


def _line(step: KeptStep) -> bytes:
    fields = step._asdict() if step.secret else {"step": step.step, "inputs": step.inputs}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
