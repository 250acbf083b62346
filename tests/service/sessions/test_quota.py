"""An owner with as many sessions as one may have: whatever opens another is refused, and nothing else is."""

from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from service.errors import SessionGone, SessionQuota, StoreFull
from service.forms.sessions import ForkRequest
from service.sessions.sequences import SequencePart, Taken
from service.stores.limits import Limits
from tests.fakes.process import NEW, Process, settle
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
START, PART, END = (
    SequencePart("s", "sum", is_start=True),
    SequencePart("s", "sum"),
    SequencePart("s", "sum", is_end=True),
)
FULL = 5

Opening = Callable[[Process, str, str], Awaitable[str]]
"""Opens one more session for Ann, given one that lives and an Idempotency-Key; its id."""


@pytest.fixture
def store() -> FaultyStore:
    """Two sessions for each owner, five in all."""
    return FaultyStore(Limits(max_sessions=FULL, max_sessions_per_owner=2))


@pytest.fixture
async def held(process: Process) -> list[str]:
    """Ann's two sessions."""
    return [await process.create() for _ in range(2)]


async def created(process: Process, _: str, key: str) -> str:
    return (await process.openings.create("ann", NEW, key)).session_id


async def forked(process: Process, held: str, key: str) -> str:
    return (await process.transfers.fork("ann", held, ForkRequest(), key)).session_id


async def imported(process: Process, held: str, key: str) -> str:
    return (await process.transfers.import_session("ann", await process.transfers.export("ann", held), key)).session_id


async def started(process: Process, _: str, __: str) -> str:
    return (await take(process, START)).answer.session_id


async def take(process: Process, part: SequencePart) -> Taken:
    sequences = process.sequences
    return await sequences.part("ann", process.model, part, np.array([1]), ["argmax"])


def num_ended(process: Process, reason: str) -> float:
    return process.metrics.registry.get_sample_value("rnn_sessions_ended_total", {"reason": reason}) or 0


@pytest.mark.parametrize("opening", [created, forked, imported, started])
async def test_whatever_opens_a_session_is_refused(process: Process, held: list[str], opening: Opening) -> None:
    with pytest.raises(SessionQuota, match=r"^you have 2 of 2 sessions; end some$"):
        await opening(process, held[0], "")
    await process.sessions.end("ann", held[1])
    await opening(process, held[0], "")


@pytest.mark.parametrize("opening", [created, forked, imported])
async def test_whatever_opens_a_session_is_counted_once_a_key(process: Process, opening: Opening) -> None:
    origin = await process.create()
    for _ in range(2):
        await opening(process, origin, "key")
    assert process.metrics.registry.get_sample_value("rnn_sessions_opened_total") == 2


@pytest.mark.parametrize("opening", [created, forked])
async def test_a_key_finds_what_it_has_opened(process: Process, opening: Opening) -> None:
    origin = await process.create()
    opened = await opening(process, origin, "key")
    assert await opening(process, origin, "key") == opened
    with pytest.raises(SessionQuota):
        await opening(process, origin, "another key")


async def test_a_key_finds_what_it_has_imported(process: Process) -> None:
    blob = await process.transfers.export("ann", await process.create())
    opened = await process.transfers.import_session("ann", blob, "key")
    assert await process.transfers.import_session("ann", blob, "key") == opened
    with pytest.raises(SessionQuota):
        await process.transfers.import_session("ann", blob, "another key")


async def test_other_owners_and_those_without_a_name_have_their_own(process: Process, held: list[str]) -> None:
    for owner in ("eve", "anonymous"):
        for _ in range(2 if owner == "eve" else 1):
            await process.create(owner)
    with pytest.raises(SessionQuota):
        await process.create("eve")
    assert (await process.sessions.get("ann", held[0])).step == 0


async def test_nobody_makes_room_for_who_may_have_no_more(process: Process) -> None:
    for owner in ("ann", "ann", "eve", "eve", "bob"):
        await process.create(owner)
    for _ in range(3):
        with pytest.raises(SessionQuota):
            await process.create()
    assert num_ended(process, "evicted") == 0
    await process.create("bob")
    assert num_ended(process, "evicted") > 0


async def test_expiry_makes_room(process: Process) -> None:
    for _ in range(2):
        await process.create()
    process.clock.now += 80
    await process.housekeeping.sweep()
    assert num_ended(process, "expired") == 2
    await process.create()


async def test_what_is_overdue_makes_room_for_its_owner_before_a_sweep_finds_it(process: Process) -> None:
    overdue = [await process.create(owner) for owner in ("ann", "eve", "ann")]
    process.clock.now += 10
    await process.create()
    assert num_ended(process, "expired") == 2
    await process.create()
    with pytest.raises(SessionQuota):
        await process.create()
    for session_id, owner in zip(overdue, ("ann", "eve", "ann"), strict=True):
        with pytest.raises(SessionGone, match="is over: expired"):
            await process.sessions.get(owner, session_id)


async def test_a_step_in_flight_keeps_its_session_from_making_room(process: Process) -> None:
    steps = [process.begin(await process.create(), "wait") for _ in range(2)]
    await settle()
    process.clock.now += 11
    with pytest.raises(SessionQuota):
        await process.create()
    process.model.go.set()
    assert [(await step.result()).step for step in steps] == [1, 1]


async def test_sessions_at_the_quota_step_and_save(process: Process, held: list[str]) -> None:
    await process.text(held[0], "a")
    await process.transitions.save("ann", held[0], "here")
    await process.sessions.end("ann", held[1])
    await process.create()


async def test_a_sequence_that_lives_is_started_anew_in_its_own_place(process: Process) -> None:
    first = await take(process, START)
    await process.create()
    assert (await take(process, START)).answer.session_id == first.answer.session_id
    await take(process, PART)


async def test_a_start_that_is_refused_leaves_the_end_of_the_sequence_before(process: Process) -> None:
    for part in (START, END):
        await take(process, part)
    for _ in range(2):
        await process.create()
    with pytest.raises(SessionQuota):
        await take(process, START)
    with pytest.raises(SessionGone, match="is over: ended"):
        await take(process, PART)


async def test_a_start_that_finds_no_room_leaves_the_end_of_the_sequence_before(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in (START, END):
        await take(process, part)
    for owner in ("bob", "bob", "eve", "eve", "tom"):
        await process.create(owner)
    monkeypatch.setattr("service.sessions.openings.MAX_EVICTIONS", 0)
    with pytest.raises(StoreFull):
        await take(process, START)
    with pytest.raises(SessionGone, match="is over: ended"):
        await take(process, PART)
