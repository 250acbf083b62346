"""Sequences in tensors: whole ones, which leave nothing behind, and those that arrive in parts under a client's own id.

    owner · model · id ─► keyed session id ─► start: a new session, its first part read ─► steps ─► end: buried

An id stands for a session of its owner, on every worker that shares the store. The session's id cannot be guessed, and
the same sequence id of another owner or model is another sequence. A start reads its part before it writes the session,
so a refused start changes nothing. Parts of the former sequence that are still under way find it over, because they
check the session's secret. Knows no HTTP.
"""

import contextlib
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import orjson

from service.bundle.stage import ITEM_STAGE
from service.concurrency.open_answers import OpenAnswers
from service.engine.job import ARGMAX, LOGITS
from service.engine.state import Array
from service.errors import SequenceUnknown, SessionGone, SessionUnknown
from service.forms.steps import Returns
from service.record.sequence_state import SequenceState
from service.sessions.live_session import LiveSession
from service.sessions.openings import Openings
from service.sessions.sessions import Sessions
from service.steps.steps import Steps
from service.steps.turn import Answer, Ask
from service.tasks.task import TensorModel

Outputs = dict[str, Array]


class SequencePart(NamedTuple):
    """Where a part of a sequence belongs.

    Attributes:
        sequence_id: The client's id of the sequence; a number and the text of its digits are two ids.
        of: The sequence's model, or its version if the client names one.
        is_start: Whether a sequence begins here, whatever the id stood for before.
        is_end: Whether the sequence ends after this part.
        step: Number of the step; None for whichever is next.
        allow_numerics_change: See `Ask`.
    """

    sequence_id: int | str
    of: str
    is_start: bool = False
    is_end: bool = False
    step: int | None = None
    allow_numerics_change: bool = False

    @property
    def key(self) -> str:
        """What the session's id is derived from. It has spaces, so it is never a client's Idempotency-Key."""
        kind = "text" if isinstance(self.sequence_id, str) else "number"
        return f"sequence {self.of} {kind} {self.sequence_id}"


class Taken(NamedTuple):
    """A part that was taken.

    Attributes:
        answer: The answer to its step.
        version: The sequence's bundle version.
        outputs: The requested outputs by name, each (1, T, ...): logits float32, argmax int64.
    """

    answer: Answer
    version: str
    outputs: Outputs


class Read(NamedTuple):
    """The result of reading rows.

    Attributes:
        outputs: By name, each (N, T, ...).
        states: The state after each row.
    """

    outputs: Outputs
    states: list[SequenceState]


class Sequences:
    """Takes sequences.

    Args:
        sessions: The sessions behind the sequences.
        openings: Opens them.
        steps: Takes their steps.
        open_answers: Limits how long a whole sequence or a first part may take.
        numerics: The fingerprint of this process's numerics, 8 bytes.
    """

    def __init__(
        self, sessions: Sessions, openings: Openings, steps: Steps, open_answers: OpenAnswers, numerics: bytes
    ) -> None:
        self._sessions = sessions
        self._openings = openings
        self._steps = steps
        self._open_answers = open_answers
        self._numerics = numerics

    async def whole(self, model: TensorModel[Any], values: Array, names: Collection[str]) -> Outputs:
        """Read whole sequences, each from the model's initial state.

        Args:
            model: Reads them.
            values: Their items (N, T, ...), already checked by the model.
            names: Names of the outputs to return, at least one.

        Returns:
            Outputs by name, each (N, T, ...).
        """
        return (await self._read(model, values, names)).outputs

    async def part(
        self, owner: str, model: TensorModel[Any], part: SequencePart, values: Array, names: Collection[str]
    ) -> Taken:
        """Take a part of a sequence, as a step of its session.

        Args:
            owner: Owner of the sequence.
            model: Reads the sequence if it begins here.
            part: Where the part belongs.
            values: Items (T, ...).
            names: Names of the outputs to return.

        Raises:
            SequenceUnknown: The sequence was never started.
            SessionGone: The sequence is over.
            ServiceError: Any other refusal of a step.
        """
        if part.is_start:
            taken = await self._start(owner, part, model, values, names)
        else:
            try:
                taken = await self._go_on(owner, part, values, names)
            except SessionUnknown:
                raise SequenceUnknown(
                    f"inference request for sequence {part.sequence_id} to model {model.name!r} must specify the START "
                    "flag on the first request of the sequence"
                ) from None
            except SessionGone as gone:
                raise SessionGone(
                    f"sequence {part.sequence_id} of model {model.name!r} is over: {gone.reason}; "
                    "it may be started again",
                    gone.reason,
                ) from None
        if part.is_end:
            with contextlib.suppress(SessionGone, SessionUnknown):
                await self._sessions.end_at(owner, taken.answer.session_id, taken.answer.step)
        return taken

    async def _start(
        self, owner: str, part: SequencePart, model: TensorModel[Any], values: Array, names: Collection[str]
    ) -> Taken:
        session_id = await self._openings.keyed_id(owner, part.key, is_confirmed=True)
        read = await self._read(model, values[None], names)
        body = self._openings.new_body(model)._replace(state=read.states[0], numerics=self._numerics)
        record = await self._openings.reopen(owner, session_id, model.bundle.tag, body)
        return Taken(Answer(session_id, record.step, b""), model.bundle.version, read.outputs)

    async def _go_on(self, owner: str, part: SequencePart, values: Array, names: Collection[str]) -> Taken:
        session = await self._find(owner, part.key)
        returns: Returns = "logits" if LOGITS in names else "argmax" if ARGMAX in names else "none"
        ask = Ask(
            owner=owner,
            session_id=session.record.session_id,
            step=part.step,
            values=values,
            returns=returns,
            allow_numerics_change=part.allow_numerics_change,
            secret=session.body.secret,
        )
        turn = await self._steps.turn_of(ask)
        answer = turn.result()
        return Taken(answer, turn.model.bundle.version, _outputs(answer, returns, names))

    async def _find(self, owner: str, key: str) -> LiveSession:
        """Return a sequence's session; another worker may have begun it after a loss of the store's data."""
        try:
            return await self._sessions.load(owner, await self._openings.keyed_id(owner, key))
        except SessionUnknown:
            return await self._sessions.load(owner, await self._openings.keyed_id(owner, key, is_confirmed=True))

    async def _read(self, model: TensorModel[Any], values: Array, names: Collection[str]) -> Read:
        """Read rows (N, T, ...) from the initial state."""
        rows = [model.items(model.initial_state(), own) for own in values]
        num_pending = rows[0].num_pending
        states, inputs = [items.state.row for items in rows], [{"x": items.values} for items in rows]
        num_items = [len(items.values) for items in rows]
        async with self._open_answers.answer():
            advances = await model.engine.advance_all(ITEM_STAGE, states, inputs, num_items, tuple(names))
        return Read(
            {name: np.stack([advance.outputs[name][num_pending:] for advance in advances]) for name in names},
            [
                items.state.advanced(advance.row, items.values.size)
                for items, advance in zip(rows, advances, strict=True)
            ],
        )


def _outputs(answer: Answer, returns: Returns, names: Collection[str]) -> Outputs:
    """Return a step's outputs by name. Those of a repeated step are parsed from the stored answer."""
    if returns == "none":
        return {}
    values = answer.values
    if values is None:
        dtype = np.float32 if returns == LOGITS else np.int64
        values = np.array(orjson.loads(answer.outputs)[returns], dtype)
    return {name: (values.argmax(axis=-1) if name != returns else values)[None] for name in names}
