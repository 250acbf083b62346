"""Turns that could go together: whose sessions are known to stand so, and are alike."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from service.engine.state import Array
from service.errors import ServiceError
from service.record.body import SECRET_AT
from service.steps.recent import Kin, Latest
from service.steps.step_rules import Models
from service.steps.turn import Ask, Returns, Turn

logger = logging.getLogger(__name__)

MAX_ITEMS = 1024  # of a step whose answer is short enough to be kept, whatever it is
_IDS = np.dtype(np.int64)

Find = Callable[[str], Latest | None]


class Likeness(NamedTuple):
    """What the turns of a cohort have in common."""

    kin: Kin
    num_items: int
    returns: Returns | None


class Muster:
    """Turns that are alike, each with its session and its items, int64 (T,)."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.latest: list[Latest] = []
        self.values: list[Array] = []

    def add(self, turn: Turn, latest: Latest, values: Array) -> None:
        """One more."""
        self.turns.append(turn)
        self.latest.append(latest)
        self.values.append(values)

    def part(self, start: int, end: int) -> "Muster":
        """Some of them."""
        part = Muster()
        part.turns, part.latest, part.values = self.turns[start:end], self.latest[start:end], self.values[start:end]
        return part


class Mustered(NamedTuple):
    """Turns by what they have in common, and those that have nothing with others."""

    alike: Mapping[Likeness, Muster]
    others: list[Turn]


def muster(turns: Sequence[Turn], find: Find, models: Models, now: float) -> Mustered:
    """Part turns by what they have in common.

    Args:
        turns: Steps of different sessions.
        find: How a session stands, by its id; None where that is not known.
        models: Served models by bundle version.
        now: Wall-clock seconds since 1970.
    """
    alike: dict[Likeness, Muster] = {}
    others: list[Turn] = []
    last: Likeness | None = None
    company = Muster()
    for turn in turns:
        ask = turn.ask
        latest = find(ask.session_id)
        if latest is None or (kin := latest.kin) is None or not _may_step(ask, latest, kin, now):
            others.append(turn)
            continue
        values = ask.values if ask.values is not None else _read(ask, kin, models)
        if values is None or values.dtype is not _IDS or values.ndim != 1 or not 0 < len(values) <= MAX_ITEMS:
            others.append(turn)
            continue
        if last is None or kin != last.kin or len(values) != last.num_items or ask.returns != last.returns:
            last = Likeness(kin, len(values), ask.returns)
            company = alike.setdefault(last, Muster())
        company.add(turn, latest, values)
    return Mustered(alike, others)


def _read(ask: Ask, kin: Kin, models: Models) -> Array | None:
    """The items of a step in JSON; None where it is in the model's own language, or cannot be read."""
    inputs = ask.inputs or {}
    try:
        model = models.on(kin.bundle)
        return model.read_tensors(inputs) if model.takes_tensors(inputs) else None
    except Exception as error:  # whatever it is, the step is to be looked at alone before it is told
        if not isinstance(error, ServiceError):
            logger.exception("a step's inputs could not be read")
        return None


def _may_step(ask: Ask, latest: Latest, kin: Kin, now: float) -> bool:
    """Whether a session could take the step, unless the store says otherwise."""
    return (
        latest.ends_at > now
        and latest.expires_at > now
        and ask.owner == kin.owner
        and (ask.step is None or ask.step == latest.step)
        and ask.on_piece is None
        and ask.returns != "logits"
        and (ask.secret is None or ask.secret == latest.head[SECRET_AT])
    )
