"""Steps that arrive together."""

import asyncio
from collections.abc import Sequence

import numpy as np

from service.steps.cohorts import MIN_COHORT_TURNS
from service.steps.turn import Answer, Ask, Turn
from tests.fakes.process import Pending, Process
from tests.fakes.stores import FaultyStore

NUM = MIN_COHORT_TURNS + 2


def ask(session_id: str, *ids: int, step: int | None = None, **more: object) -> Ask:
    return Ask("ann", session_id, step, values=np.array(ids), **{"returns": "argmax", **more})


async def told(process: Process, asks: Sequence[Ask]) -> list[Answer | Exception]:
    """What steps that arrive together are answered."""
    steps = (process.steps.take(each) for each in asks)
    return await asyncio.gather(*steps, return_exceptions=True)  # type: ignore[return-value]  # nothing else is raised


async def taken(process: Process, asks: Sequence[Ask]) -> list[Answer]:
    """The answers of steps that arrive together, none of which is refused."""
    answers = await told(process, asks)
    assert all(isinstance(answer, Answer) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Answer)]


async def known(process: Process, num: int = NUM, **request: object) -> list[str]:
    """Sessions that have read a 1 here, so that they can go together."""
    ids = [await process.create(**request) for _ in range(num)]
    await taken(process, [ask(each, 1) for each in ids])
    return ids


def begun(process: Process, asks: Sequence[Ask]) -> list[Pending]:
    """Steps that begin together."""
    pending = [Pending() for _ in asks]
    for each, own in zip(pending, asks, strict=True):
        each.turn = Turn(own, each.done)
        process.steps.submit(each.turn)
    return pending


def widths(store: FaultyStore) -> list[int]:
    """How many sessions were written by each group of records."""
    return [len(group.steps) for groups in store.advances for group in groups]


def of(answer: Answer | Exception) -> object:
    """What can be compared of what a step was answered."""
    if isinstance(answer, Answer):
        values = None if answer.values is None else answer.values.tolist()
        return answer._replace(values=None), values
    return type(answer), str(answer)
