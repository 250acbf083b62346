"""Turns that are computed together, and their results. Knows neither the store nor the event loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from service.bundle.stage import ITEM_STAGE
from service.engine.job import RowJob
from service.engine.state import Array
from service.forms.steps import Returns
from service.record.body_columns import next_heads
from service.record.digest import tensors_digests
from service.steps.session_cache import CachedSession, GroupKey
from service.steps.turn import Turn
from service.stores.base import SwapGroup
from service.tasks.task import TensorModel


class Computed(NamedTuple):
    """The results of turns whose answers have the same length.

    Attributes:
        turns, sessions: See Cohort.
        digests: Digest of each turn's inputs, 16 bytes.
        answers: JSON of each turn's outputs.
        outputs: The values in the answers, int64 (N, T). None if nothing is returned.
        rows: The next states, uint8 (N, R).
    """

    turns: Sequence[Turn]
    sessions: Sequence[CachedSession]
    digests: Sequence[bytes]
    answers: Sequence[bytes]
    outputs: Array | None
    rows: NDArray[np.uint8]

    def select(self, indices: Sequence[int]) -> "Computed":
        """Return the results of the turns at these indices."""
        return Computed(
            [self.turns[index] for index in indices],
            [self.sessions[index] for index in indices],
            [self.digests[index] for index in indices],
            [self.answers[index] for index in indices],
            None if self.outputs is None else self.outputs[indices],
            self.rows[indices],
        )


@dataclass(frozen=True)
class Cohort:
    """Turns that are computed together.

    Attributes:
        turns: N turns of different sessions.
        sessions: Those sessions, as they were after their last steps.
        group_key: What these sessions have in common.
        model: Computes the steps.
        values: The items of the steps, int64 (N, T).
        returns: Which output each turn is answered with.
    """

    turns: Sequence[Turn]
    sessions: Sequence[CachedSession]
    group_key: GroupKey
    model: TensorModel[Any]
    values: Array
    returns: Returns

    def job(self, on_done: Callable[[RowJob], None]) -> RowJob:
        """Return the engine's job of N rows."""
        return RowJob(
            ITEM_STAGE,
            self.values.shape[1],
            width=len(self.turns),
            row=b"".join([session.row for session in self.sessions]),
            inputs={"x": self.values},
            keep=() if self.returns == "none" else (self.returns,),
            on_done=on_done,
        )

    def computed(self, job: RowJob) -> list[Computed]:
        """Return the results of a job, without turns that are over, grouped by the length of their answers."""
        whole = self._whole(job)
        by_length: dict[int, list[int]] = {}
        for index, (turn, answer) in enumerate(zip(self.turns, whole.answers, strict=True)):
            if not turn.is_over:
                by_length.setdefault(len(answer), []).append(index)
        groups = list(by_length.values())
        is_one = len(groups) == 1 and len(groups[0]) == len(self.turns)
        return [whole] if is_one else [whole.select(indices) for indices in groups]

    def _whole(self, job: RowJob) -> Computed:
        N, returns = len(self.turns), self.returns
        outputs = None if returns == "none" else self.model.engine.outputs_of(job)[returns]
        return Computed(
            self.turns,
            self.sessions,
            tensors_digests(self.values, returns),
            [b"{}"] * N if outputs is None else _answers(returns, outputs),
            outputs,
            np.frombuffer(job.row, np.uint8).reshape(N, -1),
        )

    def swap_group(self, computed: Computed, now: int) -> SwapGroup:
        """Return the sessions' next records.

        Args:
            computed: Results of some of the turns.
            now: Wall-clock seconds since 1970.
        """
        sessions = computed.sessions
        heads = next_heads(
            [each.head for each in sessions],
            self.values.shape[1],
            computed.digests,
            computed.answers,
            [each.extra for each in sessions],
        )
        return SwapGroup(
            [turn.ask.session_id for turn in computed.turns],
            [each.step + 1 for each in sessions],
            [each.ttl_seconds_at(now) for each in sessions],
            self.group_key.owner,
            self.group_key.bundle,
            now,
            heads,
            computed.rows,
        )


def _answers(name: str, values: Array) -> list[bytes]:
    """Return the JSON of each row of values, int64 (N, T). One call for all takes a quarter of the time."""
    content = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    rows = content.removeprefix(b"[[").removesuffix(b"]]").split(b"],[")
    before, after = b'{"%b":[' % name.encode(), b"]}"
    return [before + row + after for row in rows]
