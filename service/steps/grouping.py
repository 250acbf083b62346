"""Groups turns by what they have in common, so that like turns can take their steps together."""

import logging
from collections.abc import Callable, Sequence
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
# A turn that can be in a cohort, its session and its items, int64 (T,). A NamedTuple would be slower to make.
Member = tuple[Turn, CachedSession, Array]


class CohortKey(NamedTuple):
    """What the turns of a cohort have in common."""

    group_key: GroupKey
    num_items: int
    returns: Returns | None


def grouped(
    turns: Sequence[Turn], find: Find, models: Models, now: float
) -> tuple[dict[CohortKey, list[Member]], list[Turn]]:
    """Group turns by what they have in common.

    Args:
        turns: Steps of different sessions.
        find: Returns a session by its id, as it was after its last step, or None if it is not known.
        models: The served models.
        now: Wall-clock seconds since 1970.

    Returns:
        The groups, and the other turns, which can only be taken one by one.
    """
    groups: dict[CohortKey, list[Member]] = {}
    others: list[Turn] = []
    last: CohortKey | None = None
    members: list[Member] = []
    for turn in turns:
        ask = turn.ask
        session = find(ask.session_id)
        if session is None or (group_key := session.group_key) is None or not _may_step(ask, session, group_key, now):
            others.append(turn)
            continue
        values = ask.values if ask.values is not None else _read(ask, group_key, models)
        if values is None or values.dtype is not _IDS or values.ndim != 1 or not 0 < len(values) <= MAX_ITEMS:
            others.append(turn)
            continue
        if last is None or group_key != last.group_key or len(values) != last.num_items or ask.returns != last.returns:
            last = CohortKey(group_key, len(values), ask.returns)
            members = groups.setdefault(last, [])
        members.append((turn, session, values))
    return groups, others


def _read(ask: Ask, group_key: GroupKey, models: Models) -> Array | None:
    """Return the items of a JSON step in tensors, or None if it is in the model's own language or cannot be read."""
    inputs = ask.inputs or {}
    try:
        model = models.session_model_by_tag(group_key.bundle)
        if isinstance(model, TensorModel) and model.takes_tensors(inputs):
            return model.read_tensors(inputs)
    except Exception as error:  # the step is refused when it is taken alone
        if not isinstance(error, ServiceError):
            logger.exception("a step's inputs could not be read")
    return None


def _may_step(ask: Ask, session: CachedSession, group_key: GroupKey, now: float) -> bool:
    """Whether a session can take the step, as far as can be told without asking the store."""
    return (
        session.no_cohort_from > now
        and session.expires_at > now
        and ask.owner == group_key.owner
        and (ask.step is None or ask.step == session.step)
        and not ask.is_streamed
        and ask.returns != "logits"
        and (ask.secret is None or ask.secret == session.head[SECRET_AT])
    )
