"""Groups turns by what they have in common, so that like turns can take their steps together."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from service.engine.state import Array
from service.errors import ServiceError
from service.forms.steps import Returns
from service.record.body import SECRET_AT
from service.steps.session_cache import CachedSession, GroupKey
from service.steps.turn import Ask, Turn
from service.tasks.models import Models
from service.tasks.task import TensorModel

logger = logging.getLogger(__name__)

MAX_ITEMS = 1024  # per step, so that any answer is short enough to be kept
_IDS = np.dtype(np.int64)

Find = Callable[[str], CachedSession | None]


class CohortKey(NamedTuple):
    """What the turns of a cohort have in common."""

    group_key: GroupKey
    num_items: int
    returns: Returns | None


class Candidates:
    """Like turns, each with its session and its items, int64 (T,)."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.latest: list[CachedSession] = []
        self.values: list[Array] = []

    def add(self, turn: Turn, latest: CachedSession, values: Array) -> None:
        """Add a turn."""
        self.turns.append(turn)
        self.latest.append(latest)
        self.values.append(values)

    def select(self, start: int, end: int) -> "Candidates":
        """Return the candidates from index `start` up to, but not including, `end`."""
        selected = Candidates()
        selected.turns, selected.latest = self.turns[start:end], self.latest[start:end]
        selected.values = self.values[start:end]
        return selected


class Grouped(NamedTuple):
    """Turns grouped by what they have in common, and the others, which can only be taken one by one."""

    alike: Mapping[CohortKey, Candidates]
    others: list[Turn]


def grouped(turns: Sequence[Turn], find: Find, models: Models, now: float) -> Grouped:
    """Group turns by what they have in common.

    Args:
        turns: Steps of different sessions.
        find: Returns a session's latest by its id, or None if it is not known.
        models: The served models.
        now: Wall-clock seconds since 1970.
    """
    alike: dict[CohortKey, Candidates] = {}
    others: list[Turn] = []
    last: CohortKey | None = None
    candidates = Candidates()
    for turn in turns:
        ask = turn.ask
        latest = find(ask.session_id)
        if latest is None or (group_key := latest.group_key) is None or not _may_step(ask, latest, group_key, now):
            others.append(turn)
            continue
        values = ask.values if ask.values is not None else _read(ask, group_key, models)
        if values is None or values.dtype is not _IDS or values.ndim != 1 or not 0 < len(values) <= MAX_ITEMS:
            others.append(turn)
            continue
        if last is None or group_key != last.group_key or len(values) != last.num_items or ask.returns != last.returns:
            last = CohortKey(group_key, len(values), ask.returns)
            candidates = alike.setdefault(last, Candidates())
        candidates.add(turn, latest, values)
    return Grouped(alike, others)


def _read(ask: Ask, group_key: GroupKey, models: Models) -> Array | None:
    """Return the items of a JSON step in tensors, or None if it is in the model's own language or cannot be read."""
    inputs = ask.inputs or {}
    try:
        model = models.by_tag(group_key.bundle)
        if isinstance(model, TensorModel) and model.takes_tensors(inputs):
            return model.read_tensors(inputs)
    except Exception as error:  # the step is refused when it is taken alone
        if not isinstance(error, ServiceError):
            logger.exception("a step's inputs could not be read")
    return None


def _may_step(ask: Ask, latest: CachedSession, group_key: GroupKey, now: float) -> bool:
    """Whether a session can take the step, as far as can be told without asking the store."""
    return (
        latest.no_cohort_from > now
        and latest.expires_at > now
        and ask.owner == group_key.owner
        and (ask.step is None or ask.step == latest.step)
        and not ask.is_streamed
        and ask.returns != "logits"
        and (ask.secret is None or ask.secret == latest.head[SECRET_AT])
    )
