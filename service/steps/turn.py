"""One request for a step on its way through the service, and what it is answered."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from service.engine.job import RowJob
from service.engine.state import Array, SequenceState
from service.record.body import Body
from service.stores.base import Record
from service.tasks.task import Piece, SequenceModel, TensorModel

Returns = Literal["logits", "argmax", "none"]

_NOTHING = SequenceState()


def returned(asked: Returns | None, model: TensorModel[Any]) -> Returns:
    """What a step in tensors answers: what is asked for, or else the model's default."""
    return asked or ("logits" if model.has_logits else "none")


def tell_nobody(_: Piece) -> None:
    """For the pieces of a streamed answer, where nobody is to be told them."""


class Ask(NamedTuple):
    """What a client asks of a session.

    Attributes:
        owner: Who asks.
        session_id: Of which session.
        step: The step that the client means to take; None for whichever is next.
        inputs: What it sent, unless that is `values`.
        values: Items of a step in tensors, decoded and checked: int64 (T,) or float64 (T, segment).
        returns: What a step in tensors answers; None for the model's default.
        allow_numerics_change: Whether the session may go on where other numerics computed its state.
        is_streamed: Whether what is generated is told piece by piece, and cannot be taken back then.
        num_request_items: Of all steps of its request that may be answered with logits; 0 where it is the only step.
        secret: Of the session that is meant, where another may come to stand under its id; None for whichever stands.
    """

    owner: str
    session_id: str
    step: int | None = None
    inputs: dict[str, Any] | None = None
    values: Array | None = None
    returns: Returns | None = None
    allow_numerics_change: bool = False
    is_streamed: bool = False
    num_request_items: int = 0
    secret: bytes | None = None

    @property
    def is_in_tensors(self) -> bool:
        """Whether it asks for a step in tensors: one run of the graph, so that nobody need watch for its client."""
        return self.values is not None or (self.inputs is not None and ("ids" in self.inputs or "x" in self.inputs))


class Answer(NamedTuple):
    """What a step is answered.

    Attributes:
        session_id: Of which session.
        step: Number of the next step.
        outputs: JSON.
        values: The output of a step in tensors, where it was computed now and not kept from before.
        is_numerics_changed: Whether the session went on under other numerics than before.
    """

    session_id: str
    step: int
    outputs: bytes
    values: Array | None = None
    is_numerics_changed: bool = False

    def json(self) -> bytes:
        """The answer as HTTP and WebSocket send it."""
        changed = b',"numerics_changed":true' if self.is_numerics_changed else b""
        return b'{"session_id":"%b","step":%d,"outputs":%b%b}' % (
            self.session_id.encode(),
            self.step,
            self.outputs,
            changed,
        )


class Turn:
    """An ask under way. Filled in from left to right: loaded, admitted, computed, committed, answered.

    Attributes:
        started: When it was asked, by the performance counter.
        record, body, model: The session as it was loaded.
        step: Number of the step that is computed: the next one, or the last where it is computed again.
        state: The state before the step, and once it is computed the state after it.
        digest: 16 bytes, of the decoded inputs.
        outputs: JSON of what was computed.
        values: The output in tensors.
        job: The row in the engine, while it is there.
        task: What computes a step that is more than one run, while it does.
        is_guess: Whether the session is the one kept at hand here, and not what the store was asked for.
        is_committing: Whether the store has been asked to write it, so that it can no longer be called off.

    Args:
        ask: What is asked.
        done: Told once, when `answer` or `error` is there.
        on_piece: Told each piece of a streamed answer as it becomes certain.
    """

    # Defaults of the class: one of many steps that go together needs few of its own.
    record: Record
    body: Body
    model: SequenceModel[Any]
    step: int = 0
    state: SequenceState = _NOTHING
    digest: bytes = b""
    outputs: bytes = b""
    values: Array | None = None
    job: RowJob | None = None
    task: asyncio.Task[None] | None = None
    is_guess: bool = False
    is_committing: bool = False
    num_attempts: int = 0
    answer: Answer | None = None
    error: Exception | None = None

    def __init__(
        self, ask: Ask, done: Callable[["Turn"], None], on_piece: Callable[[Piece], None] = tell_nobody
    ) -> None:
        self.ask = ask
        self.done = done
        self.on_piece = on_piece
        self.started = time.perf_counter()

    @property
    def is_over(self) -> bool:
        """Whether it has been answered."""
        return self.answer is not None or self.error is not None

    @property
    def is_replay(self) -> bool:
        """Whether it repeats the step that was last."""
        return self.step < self.record.step

    def result(self) -> Answer:
        """The answer, or what went wrong raised."""
        if self.answer is None:
            raise self.error or RuntimeError("a turn has neither answer nor error")
        return self.answer
