"""A request for a step, its way through the service, and its answer."""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

from service.engine.job import RowJob
from service.engine.state import Array
from service.forms.steps import TENSOR_FIELDS, Returns
from service.record.body import Body
from service.record.sequence_state import SequenceState
from service.steps.large_logits import json_pieces
from service.stores.base import Record
from service.tasks.task import Piece, SequenceModel, TensorModel

_NOTHING = SequenceState()


def returned(asked: Returns | None, model: TensorModel[Any]) -> Returns:
    """Return which output a step in tensors is answered with: the requested one, or else the model's default."""
    return asked or ("logits" if model.has_logits else "none")


def ignore_piece(_: Piece) -> None:
    """Ignore a piece of a streamed answer."""


def _ignore(_: "Turn") -> None:
    """Do nothing at the end of a turn that nobody waits for."""


class Ask(NamedTuple):
    """A client's request for a step.

    Attributes:
        owner: The client.
        session_id: The session.
        step: Number of the requested step; None for the next one.
        inputs: The inputs as JSON; None if they are in `values`.
        values: Items of a step in tensors, decoded and checked: int64 (T,) or float64 (T, segment).
        returns: Which output a step in tensors returns; None for the model's default.
        allow_numerics_change: Whether the session may continue if its state was computed under other numerics.
        is_streamed: Whether the answer is sent in pieces as it is generated. Pieces cannot be taken back.
        num_request_items: Items in all steps of the request that may return logits; 0 if the request has one step.
        secret: The secret of the requested session, 16 bytes; None for any session under that id.
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
        """Whether the step is in tensors, so that it is a single job of the engine."""
        return self.values is not None or not TENSOR_FIELDS.isdisjoint(self.inputs or ())


class Answer(NamedTuple):
    """The answer to a step.

    Attributes:
        session_id: The session.
        step: Number of the next step.
        outputs: The outputs as JSON. Empty for large logits, which are only in `values`.
        values: The output of a step in tensors, float32 (T, V) or int64 (T,); None if the answer is a stored one.
        is_numerics_changed: Whether the session continued under other numerics than before.
    """

    session_id: str
    step: int
    outputs: bytes
    values: Array | None = None
    is_numerics_changed: bool = False

    @property
    def is_large(self) -> bool:
        """Whether the answer is sent piece by piece."""
        return not self.outputs and self.values is not None

    def json(self) -> bytes:
        """Return the answer as JSON, for HTTP and WebSocket."""
        return b"".join(self.json_pieces()) if self.is_large else self._around(self.outputs)

    def json_pieces(self) -> Iterator[bytes]:
        """Yield the same JSON in the pieces to send."""
        head, tail = self._around(b"{}").split(b"{}")
        yield head
        yield from self.outputs_pieces()
        yield tail

    def outputs_pieces(self) -> Iterator[bytes]:
        """Yield the outputs as JSON, in pieces."""
        if self.outputs or self.values is None:
            yield self.outputs
        else:
            yield from json_pieces(self.values)

    def _around(self, outputs: bytes) -> bytes:
        changed = b',"numerics_changed":true' if self.is_numerics_changed else b""
        return b'{"session_id":"%b","step":%d,"outputs":%b%b}' % (self.session_id.encode(), self.step, outputs, changed)


class Turn:
    """An ask under way. Its attributes are set in this order: loaded, admitted, computed, committed, answered.

    Attributes:
        started: When it arrived, by the performance counter, in seconds.
        source: The connection or the request that it shares with other turns. None if it came alone.
        record, body, model: The session as it was loaded.
        step: Number of the step being computed: the next one, or the last one in a replay.
        state: The state before the step; once the step is computed, the state after it.
        digest: Digest of the decoded inputs, 16 bytes.
        outputs: The computed outputs, in the form of `Answer.outputs`.
        values: The output of a step in tensors, float32 (T, V) or int64 (T,).
        job: Its job while that is in the engine.
        task: The task that computes a step in the model's own language, while it runs.
        is_guess: Whether the session comes from the cache rather than the store.
        is_committing: Whether its commit is under way. The turn can then no longer be called off.
        num_attempts: How often it lost its step to another writer.
        answer, error: One of them is set when the turn is over.

    Args:
        ask: The client's request.
        done: Called once, when the turn is over.
        on_piece: Called with each piece of a streamed answer as it becomes final.
        started: When it arrived, by the performance counter. Defaults to now.
        source: See above.
    """

    # Class defaults save setting them on every turn: a turn in a cohort sets only a few.
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
    source: Hashable = None

    def __init__(
        self,
        ask: Ask,
        done: Callable[["Turn"], None],
        on_piece: Callable[[Piece], None] = ignore_piece,
        started: float | None = None,
        source: Hashable = None,
    ) -> None:
        self.ask = ask
        self.done = done
        self.on_piece = on_piece
        self.started = time.perf_counter() if started is None else started
        if source is not None:
            self.source = source

    def end(self) -> None:
        """Call `done`. The turn forgets it first: who waits for a turn often holds it, which is a cycle."""
        done, self.done, self.on_piece = self.done, _ignore, ignore_piece
        done(self)

    @property
    def is_over(self) -> bool:
        """Whether the turn has been answered or refused."""
        return self.answer is not None or self.error is not None

    @property
    def is_replay(self) -> bool:
        """Whether the turn computes the session's last step again."""
        return self.step < self.record.step

    def result(self) -> Answer:
        """Return the answer.

        Raises:
            ServiceError: The turn was refused.
            Exception: The turn failed.
        """
        if self.answer is None:
            raise self.error or RuntimeError("a turn has neither answer nor error")
        return self.answer
