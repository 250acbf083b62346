"""Encodes and decodes a session's body: everything beyond the fields that its store knows.

    version u8 · flags u8 · rows u16 · created_at u32 · position u64 · numerics 8 · secret 16 · digest 16 · lengths of
    the rest, u32 each: labels, pending, answer, extra, inputs, before · labels (JSON) · pending · answer · extra (JSON)
    · inputs · before · the rows                                                                      little-endian

The rows come last and are equally long. Bodies of version 1 can be read (`body_v1`), and are written as this version at
the session's next step. The store's record has the checksum.
"""

import struct
from typing import Any, NamedTuple

import orjson

from service.record import body_v1
from service.record.sequence_state import SINGLE_ROW, SequenceState

VERSION = 2
NUMERICS_UNKNOWN = bytes(8)
NO_DIGEST = bytes(16)
HEAD_FIELDS = {
    "version": "B",
    "flags": "B",
    "num_rows": "H",
    "created_at": "I",
    "position": "Q",
    "numerics": "8s",
    "secret": "16s",
    "digest": "16s",
    "labels_length": "I",
    "pending_length": "I",
    "answer_length": "I",
    "extra_length": "I",
    "inputs_length": "I",
    "before_length": "I",
}
"""The fields of the head in order, each with its `struct` format."""
_HEAD = struct.Struct("<" + "".join(HEAD_FIELDS.values()))
HEAD_BYTES = _HEAD.size
_STATE_HEAD = struct.Struct("<HQII")
_KEEPS_INPUTS = 1


def _place(name: str) -> slice:
    """Return where a field lies in the head."""
    before = list(HEAD_FIELDS.values())[: list(HEAD_FIELDS).index(name)]
    start = struct.calcsize("<" + "".join(before))
    return slice(start, start + struct.calcsize(HEAD_FIELDS[name]))


SECRET_AT = _place("secret")


class BodyUnreadable(Exception):
    """The bytes are not a body of a known version."""


class Body(NamedTuple):
    """A session's own content.

    Attributes:
        created_at: Wall-clock seconds since 1970, rounded up so that its lifetime never ends early.
        secret: 16 bytes that seed sampling unless the client gives a seed; never sent.
        state: The recurrent state and pending input.
        numerics: Fingerprint of the numerics that computed the state, 8 bytes.
        digest: Digest of the decoded inputs of the last step, 16 bytes; zeros before the first.
        answer: JSON of the outputs of the last step; b"" if they are too large to keep.
        before: The state before the last step, kept only if its answer is not, to compute that again.
        inputs: Inputs that have advanced it, as `service.record.replay` reads them; None if they are not kept.
        checkpoints: The saved states, each as its name and the step that saved it: `name~12`.
        request_digest: Hexadecimal digest of the request that an idempotency key came with; "" without a key.
        idle_seconds: How long the session may be idle; 0 if its record's time to live tells (`service.record.expiry`).
    """

    created_at: int
    secret: bytes
    state: SequenceState
    numerics: bytes = NUMERICS_UNKNOWN
    digest: bytes = NO_DIGEST
    answer: bytes = b""
    before: SequenceState | None = None
    inputs: bytes | None = None
    checkpoints: tuple[str, ...] = ()
    request_digest: str = ""
    idle_seconds: int = 0

    def ends_at(self, max_lifetime_seconds: int) -> int:
        """Return when the session reaches the maximum lifetime, in wall-clock seconds since 1970."""
        return self.created_at + max_lifetime_seconds


def encode(body: Body) -> bytes:
    """Return a body as bytes."""
    state = body.state
    labels = _labels_bytes(state)
    extra = extra_of(body)
    before = _state_bytes(body.before) if body.before is not None else b""
    inputs = body.inputs or b""
    head = _HEAD.pack(
        VERSION,
        _KEEPS_INPUTS if body.inputs is not None else 0,
        len(state.rows),
        body.created_at,
        state.position,
        body.numerics,
        body.secret,
        body.digest,
        len(labels),
        len(state.pending),
        len(body.answer),
        len(extra),
        len(inputs),
        len(before),
    )
    return b"".join((head, labels, state.pending, body.answer, extra, inputs, before, *state.rows))


def is_current_version(content: bytes) -> bool:
    """Return whether a body is of the current version, with a complete head."""
    return content[:1] == bytes([VERSION]) and len(content) >= _HEAD.size


def decode(content: bytes) -> Body:
    """Return the body in these bytes.

    Raises:
        BodyUnreadable: The version is not known.
    """
    if content.startswith(body_v1.MAGIC):
        return _upgraded(content)
    if not is_current_version(content):
        raise BodyUnreadable(f"the body begins with {content[:4]!r}; versions 1 and {VERSION} are known")
    (
        _,
        flags,
        num_rows,
        created_at,
        position,
        numerics,
        secret,
        digest,
        labels_length,
        pending_length,
        answer_length,
        extra_length,
        inputs_length,
        before_length,
    ) = _HEAD.unpack_from(content)
    pending_at = _HEAD.size + labels_length
    answer_at = pending_at + pending_length
    extra_at = answer_at + answer_length
    rows_at = extra_at + extra_length + inputs_length + before_length
    body = Body(
        created_at,
        secret,
        SequenceState(
            _equal_rows(content, rows_at, num_rows),
            _labels(content[_HEAD.size : pending_at], num_rows),
            content[pending_at:answer_at],
            position,
        ),
        numerics,
        digest,
        content[answer_at:extra_at],
    )
    if extra_at == rows_at and not flags:
        return body
    return _with_more(body, content[extra_at:rows_at], extra_length, inputs_length, bool(flags & _KEEPS_INPUTS))


def _with_more(body: Body, content: bytes, extra_length: int, inputs_length: int, keeps_inputs: bool) -> Body:
    """Return a body with the fields that few sessions have."""
    before_at = extra_length + inputs_length
    more: dict[str, Any] = orjson.loads(content[:extra_length]) if extra_length else {}
    return body._replace(
        before=_state(content[before_at:]) if content[before_at:] else None,
        inputs=content[extra_length:before_at] if keeps_inputs else None,
        checkpoints=tuple(more.get("checkpoints", ())),
        request_digest=more.get("request_digest", ""),
        idle_seconds=more.get("idle_seconds", 0),
    )


def _upgraded(content: bytes) -> Body:
    old = body_v1.decode(content)
    return Body(
        created_at=0,
        secret=old.secret,
        state=old.state,
        digest=old.digest,
        answer=old.answer,
        before=old.before,
    )


def with_creation_time(body: Body, now: int) -> Body:
    """Return a body with a creation time. Version 1 stored none, so there it is the time of the upgrade."""
    return body if body.created_at else body._replace(created_at=now)


def extra_of(body: Body) -> bytes:
    """Return the fields that few sessions have, as JSON, or b"" if all are empty."""
    if not body.checkpoints and not body.request_digest and not body.idle_seconds:
        return b""
    extra: dict[str, Any] = {}
    if body.checkpoints:
        extra["checkpoints"] = body.checkpoints
    if body.request_digest:
        extra["request_digest"] = body.request_digest
    if body.idle_seconds:
        extra["idle_seconds"] = body.idle_seconds
    return orjson.dumps(extra)


def _labels_bytes(state: SequenceState) -> bytes:
    return b"" if state.labels in ((), SINGLE_ROW) else orjson.dumps(state.labels)


def _labels(content: bytes, num_rows: int) -> tuple[str, ...]:
    if content:
        return tuple(orjson.loads(content))
    return SINGLE_ROW if num_rows else ()


def _equal_rows(content: bytes, start: int, num_rows: int) -> tuple[bytes, ...]:
    """Return the equally long rows that fill the rest of the content."""
    if num_rows == 1:
        return (content[start:],)
    length = (len(content) - start) // max(1, num_rows)
    return tuple(content[start + row * length : start + (row + 1) * length] for row in range(num_rows))


def _state_bytes(state: SequenceState) -> bytes:
    labels = _labels_bytes(state)
    head = _STATE_HEAD.pack(len(state.rows), state.position, len(labels), len(state.pending))
    return b"".join((head, labels, state.pending, *state.rows))


def _state(content: bytes) -> SequenceState:
    num_rows, position, labels_length, pending_length = _STATE_HEAD.unpack_from(content)
    pending_at = _STATE_HEAD.size + labels_length
    rows_at = pending_at + pending_length
    labels = _labels(content[_STATE_HEAD.size : pending_at], num_rows)
    return SequenceState(_equal_rows(content, rows_at, num_rows), labels, content[pending_at:rows_at], position)
