"""What every store promises, run against each backend."""

import asyncio
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.record.ids import new_session_id
from service.stores.base import CHECKPOINT, Count, Full, Record, Store, Swap
from service.stores.limits import Limits
from service.stores.memory import MemoryStore
from tests.service.stores.conftest import MAX_BYTES, MAX_SESSIONS
from tests.service.stores.histories import (
    HISTORIES,
    RECORD,
    A,
    Advance,
    B,
    C,
    D,
    E,
    F,
    create,
    following,
    named,
    outcome,
)

pytestmark = pytest.mark.anyio

MINUTE = 60


def ids_of(records: list[Record]) -> list[str]:
    return [record.session_id for record in records]


async def pages(store: Store, owner: str, limit: int) -> list[str]:
    """All pages of an owner, one after the other."""
    found: list[str] = []
    while page := await store.page(owner, found[-1] if found else "", limit):
        found += ids_of(page)
    return found


async def test_what_was_written_is_loaded_in_the_order_asked_for(store: Store) -> None:
    other = named(B, body=b"", owner="", bundle="", step=2**40)
    await create(store, RECORD, other)
    assert await store.load([B, C, A, B]) == [other, None, RECORD, other]
    assert await store.load([]) == []


@pytest.mark.parametrize("length", [0, 1, 1800, 1900, 2000, 4000, 4050, 4096, 4200, 6000, 8192, 9000])
async def test_a_body_of_any_length_comes_back(store: Store, length: int) -> None:
    for step, body in enumerate([os.urandom(length), b"short", os.urandom(length // 2)]):
        record = named(A, step=step, body=body)
        assert await store.swap([Swap(record, step - 1 if step else None)]) == [True]
        assert await store.load([A]) == [record]
        assert await store.count() == Count(1, len(body))


@pytest.mark.parametrize("junk", ["", "nobody", "../../etc", A[:-1], A + "A", "ü" * 28, "\ud800", "x" * 5000, "\0"])
async def test_what_is_no_id_is_not_found(store: Store, junk: str) -> None:
    await create(store, RECORD)
    assert await store.load([junk, A]) == [None, RECORD]
    await store.delete([junk])
    assert await store.page("ann", junk, 5) in ([], [RECORD])


async def test_another_spelling_of_an_id_is_not_found(store: Store) -> None:
    record = named("____" * 7)
    await create(store, record)
    assert await store.load(["////" * 7]) == [None]


async def test_a_swap_needs_the_step_that_is_stored(store: Store) -> None:
    await create(store, RECORD)
    first, second = named(A, step=1, body=b"first"), named(A, step=1, body=b"second")
    assert await store.swap([Swap(first, 0), Swap(second, 0)]) == [True, False]
    assert await store.load([A]) == [first]
    assert await store.swap([Swap(second, 0), Swap(second, 7), Swap(named(A, step=2), 1)]) == [False, False, True]


async def test_a_session_may_step_twice_in_one_swap_and_change_its_owner(store: Store) -> None:
    await create(store, RECORD)
    twice = [named(A, step=step, owner="bob", body=b"twice") for step in (1, 2)]
    assert await store.swap([Swap(each, each.step - 1) for each in twice]) == [True, True]
    assert await store.load([A]) == [twice[1]]
    assert ids_of(await store.page("bob", "", 5)) == [A]


async def test_a_record_is_created_only_once(store: Store) -> None:
    await create(store, RECORD)
    assert await store.swap([Swap(named(A, owner="eve"), None)]) == [False]
    assert await store.swap([Swap(named(B), None), Swap(named(B, owner="eve"), None)]) == [True, False]
    assert await store.load([A, B]) == [RECORD, named(B)]


async def test_a_swap_of_what_is_not_there_writes_nothing(store: Store) -> None:
    assert await store.swap([Swap(RECORD, 0), Swap(named(B), None)]) == [False, True]
    assert await store.load([A, B]) == [None, named(B)]


async def test_a_full_store_refuses_new_sessions_and_takes_steps(store: Store) -> None:
    await create(store, *map(named, [A, B, C, D]))
    with pytest.raises(Full):
        await store.swap([Swap(named(E), None), Swap(named(F), None)])
    assert await store.load([E, F]) == [None, None]
    await create(store, named(E))
    with pytest.raises(Full):
        await store.swap([Swap(named(A, step=1), 0), Swap(named(F), None)])
    assert await store.swap([Swap(named(D, step=1), 0), Swap(named(A), None)]) == [True, False]
    await create(store, named(F, ended="ended", body=b""))


async def test_of_many_that_are_opened_at_once_as_many_as_find_room_are_opened(store: Store) -> None:
    swaps = [Swap(named(new_session_id(1000.0 + n)), None) for n in range(30)]
    outcomes: list[object] = await asyncio.gather(*(store.swap([swap]) for swap in swaps), return_exceptions=True)
    assert [each for each in outcomes if not isinstance(each, Full)] == [[True]] * MAX_SESSIONS
    assert (await store.count()).num_live == MAX_SESSIONS


async def test_a_store_that_is_full_of_bytes_takes_steps_and_checkpoints(store: Store) -> None:
    await create(store, named(A, body=bytes(MAX_BYTES)))
    with pytest.raises(Full):
        await store.swap([Swap(named(B), None)])
    assert await store.swap([Swap(named(A, step=1, body=bytes(MAX_BYTES + 1)), 0)]) == [True]
    await create(store, named(f"{A}~before", ended=CHECKPOINT, body=b"saved"))
    assert await store.count() == Count(1, MAX_BYTES + 6)


async def test_an_end_makes_room(store: Store) -> None:
    await create(store, *map(named, [A, B, C, D, E]))
    assert await store.swap([Swap(named(A, step=1, ended="evicted", body=b""), 0)]) == [True]
    await create(store, named(F))
    assert await store.bundles() == {"echo:1": 5}


async def test_deleted_records_never_existed(store: Store) -> None:
    await create(store, RECORD, named(B, body=bytes(5000)))
    await store.delete([A, F, B])
    assert await store.load([A, B]) == [None, None]
    assert await store.count() == Count(0, 0)
    assert await store.bundles() == {}
    assert await store.page("ann", "", 9) == await store.idlest(9) == await store.overdue(10**6, 9) == []
    await create(store, RECORD)


async def test_only_what_is_over_and_overdue_still_is_deleted_as_such(store: Store) -> None:
    checkpoint = named(f"{A}~saved", ended=CHECKPOINT, used_at=6000, ttl_seconds=60)
    over = named(B, ended="ended", body=b"", used_at=6000, ttl_seconds=60)
    later, live = over._replace(session_id=C, ttl_seconds=600), named(D, used_at=6000, ttl_seconds=60)
    await create(store, checkpoint, over, later, live)
    await store.delete_overdue([f"{A}~saved", B, C, D, E, "no id"], 6060 + MINUTE)
    assert await store.load([f"{A}~saved", B, C, D]) == [None, None, later, live]
    assert await store.count() == Count(1, len(live.body))
    await store.delete_overdue([], 10**6)
    await store.delete_overdue([C, D], 10**6)
    assert await store.load([C, D]) == [None, live]
    assert await store.overdue(10**6, 9) == [live]


async def test_overdue_records_of_all_kinds_are_found_within_a_minute(store: Store) -> None:
    checkpoint = named(f"{A}~saved", ended=CHECKPOINT, used_at=6000, ttl_seconds=60)
    ended = named(B, ended="ended", body=b"", used_at=6030, ttl_seconds=60)
    await create(store, named(A, used_at=6000, ttl_seconds=600), ended, checkpoint)
    assert await store.overdue(6059, 9) == []
    assert set(await store.overdue(6090 + MINUTE, 9)) == {ended, checkpoint}
    assert len(await store.overdue(6600 + MINUTE, 9)) == 3
    assert len(await store.overdue(6600 + MINUTE, 2)) == 2


async def test_a_use_puts_off_the_end(store: Store) -> None:
    await create(store, *map(named, [A, B]))
    used = named(A, step=1, used_at=6500)
    assert await store.swap([Swap(used, 0)]) == [True]
    assert await store.overdue(6600 + MINUTE, 9) == [named(B)]
    assert await store.overdue(7100 - 1, 9) == [named(B)]
    assert set(await store.overdue(7100 + MINUTE, 9)) == {named(B), used}


async def test_what_is_overdue_of_an_owner_is_found_to_the_second(store: Store) -> None:
    checkpoint = named(f"{A}~saved", ended=CHECKPOINT)
    ended = named(B, ended="ended", body=b"")
    later, foreign = named(C, used_at=6030), named(D, owner="eve")
    await create(store, RECORD, checkpoint, ended, later, foreign)
    assert await store.overdue_of("ann", 6599, 9) == []
    assert await store.overdue_of("ann", 6600, 9) == [RECORD]
    assert set(await store.overdue_of("ann", 6600 + MINUTE, 9)) == {RECORD, later}
    assert len(await store.overdue_of("ann", 6600 + MINUTE, 1)) == 1
    assert await store.overdue_of("eve", 6600, 9) == [foreign]
    assert await store.overdue_of("bob", 6600, 9) == await store.overdue_of("a" * 300, 6600, 9) == []


async def test_what_is_overdue_of_all_owners_is_found_to_the_second(store: Store) -> None:
    checkpoint = named(f"{A}~saved", ended=CHECKPOINT)
    ended = named(B, ended="ended", body=b"")
    later, foreign = named(C, used_at=6030), named(D, owner="eve")
    await create(store, RECORD, checkpoint, ended, later, foreign, named(E, used_at=9000))
    assert await store.overdue_of(None, 6599, 9) == []
    assert set(await store.overdue_of(None, 6600, 9)) == {RECORD, foreign}
    assert set(await store.overdue_of(None, 6600 + MINUTE, 9)) == {RECORD, foreign, later}
    assert len(await store.overdue_of(None, 6600 + MINUTE, 1)) == 1
    assert await store.swap([Swap(named(A, step=1, used_at=6500), 0)]) == [True]
    assert set(await store.overdue_of(None, 6600 + 2 * MINUTE, 9)) == {foreign, later}


async def test_what_is_used_is_not_overdue_of_its_owner(store: Store) -> None:
    await create(store, RECORD)
    used = named(A, step=1, used_at=6500)
    assert await store.swap([Swap(used, 0)]) == [True]
    assert await store.overdue(6600 + MINUTE, 9) == await store.overdue_of("ann", 7099, 9) == []
    assert await store.overdue_of("ann", 7100, 9) == [used]


async def test_a_shorter_life_counts_at_once(store: Store) -> None:
    await create(store, named(A, ttl_seconds=10**6))
    ended = named(A, step=1, ended="ended", body=b"", used_at=6060, ttl_seconds=0)
    assert await store.swap([Swap(ended, 0)]) == [True]
    assert await store.overdue(6060 + MINUTE, 9) == [ended]


async def test_the_least_recently_used_comes_first(store: Store) -> None:
    await create(store, *(named(each, used_at=at * MINUTE) for each, at in [(A, 30), (B, 10), (C, 50), (D, 20)]))
    await create(store, named(f"{C}~saved", ended=CHECKPOINT, used_at=0))
    assert ids_of(await store.idlest(3)) == [B, D, A]
    await store.swap([Swap(named(B, step=1, used_at=60 * MINUTE), 0), Swap(named(D, step=1, ended="ended"), 0)])
    assert ids_of(await store.idlest(9)) == [A, C, B]


async def test_an_owner_sees_pages_of_their_own(store: Store) -> None:
    await create(store, *map(named, [A, C, B]), named(D, owner="eve"), named(E, owner="an"))
    await create(store, named(f"{A}~saved", ended=CHECKPOINT), named(F, ended="ended"))
    found = await pages(store, "ann", 2)
    assert sorted(found) == sorted([A, B, C, F])
    assert found == await pages(store, "ann", 1) == ids_of(await store.page("ann", "", 9))
    assert await pages(store, "nobody", 2) == []


async def test_pages_go_on_where_the_last_id_has_gone(store: Store) -> None:
    await create(store, *map(named, [A, B, C, D]))
    found = await pages(store, "ann", 4)
    await store.delete([found[1]])
    assert ids_of(await store.page("ann", found[1], 9)) == found[2:]


async def test_checkpoints_are_no_sessions_and_their_bytes_count(store: Store) -> None:
    checkpoint = named(f"{A}~a name of ümläuts", ended=CHECKPOINT, body=b"saved state")
    await create(store, RECORD, checkpoint, named(f"{A}~" + "x" * 200, ended=CHECKPOINT, body=b"1"))
    assert await store.load([checkpoint.session_id]) == [checkpoint]
    assert await store.count() == Count(1, 17)
    assert await store.page("ann", "", 9) == await store.idlest(9) == [RECORD]


async def test_live_sessions_are_counted_by_bundle(store: Store) -> None:
    await create(store, RECORD, named(B, bundle="echo:2", body=b"1234567"), named(C, bundle="echo:2"))
    assert (await store.count(), await store.bundles()) == (Count(3, 17), {"echo:1": 1, "echo:2": 2})
    await store.swap([Swap(named(A, step=1, ended="expired", body=b""), 0), Swap(named(C, step=1, bundle="echo:3"), 0)])
    assert (await store.count(), await store.bundles()) == (Count(2, 12), {"echo:2": 1, "echo:3": 1})


async def test_live_sessions_are_counted_by_owner(store: Store) -> None:
    await create(store, RECORD, named(B, owner="an"), named(C), named(D, owner=""), named(E, owner="all"))
    await create(store, named(f"{A}~saved", ended=CHECKPOINT), named(F, ended="ended", body=b""))
    names = ("ann", "an", "", "all", "a", "nobody", "ü")
    assert [await store.count_of(name) for name in names] == [2, 1, 1, 1, 0, 0, 0]
    await store.swap([Swap(named(A, step=1, ended="expired", body=b""), 0), Swap(named(D, step=1, owner="ü"), 0)])
    await store.delete([B, f"{A}~saved"])
    assert [await store.count_of(name) for name in names] == [1, 0, 0, 1, 0, 0, 1]


async def test_what_lives_again_is_its_owners_again(store: Store) -> None:
    await create(store, named(A, ended="ended", body=b""), named(B))
    both = [Swap(named(A, step=1, owner="eve"), 0), Swap(named(B, step=1), 0)]
    assert await store.swap(both) == [True, True]
    assert [await store.count_of(owner) for owner in ("ann", "eve")] == [1, 1]
    assert ids_of(await store.page("eve", "", 9)) == [A]
    assert ids_of(await store.page("ann", "", 9)) == [B]


async def test_what_opens_in_the_place_of_what_is_over_needs_room_as_any_new_one(store: Store) -> None:
    over = named(A, ended="ended", body=b"")
    await create(store, over, *map(named, [B, C, D, E, F]))
    again = Swap(named(A, step=7), 0, is_opening=True)
    for swaps in ([again], [Swap(named(B, step=1), 0), again]):
        with pytest.raises(Full):
            await store.swap(swaps)
    assert await store.load([A, B]) == [over, named(B)]
    assert await store.swap([again._replace(expected_step=3), Swap(named(B, step=1), 0)]) == [False, True]
    await store.delete([B])
    assert await store.swap([again]) == [True]
    assert (await store.count(), await store.count_of("ann")) == (Count(5, 25), 5)
    assert await store.swap([again]) == [False]


async def test_notes_are_kept_and_taken_away(store: Store) -> None:
    await store.note("bundles/a", b"1")
    await store.note("bundles/b", b"")
    await store.note("other", b"3")
    assert await store.notes("bundles/") == {"bundles/a": b"1", "bundles/b": b""}
    await store.note("bundles/a", None)
    await store.note("nothing", None)
    assert await store.notes("") == {"bundles/b": b"", "other": b"3"}
    assert await store.note_once("once", b"first") == await store.note_once("once", b"second") == b"first"


async def test_a_record_that_cannot_be_packed_is_refused_alone(store: Store) -> None:
    if store.backend == "memory":
        pytest.skip("a record in memory is not packed")
    with pytest.raises(ValueError, match="cannot be packed"):
        await store.swap([Swap(named(B), None), Swap(named(A, owner="o" * 256), None)])
    assert await store.load([A, B]) == [None, None]
    await create(store, RECORD)


async def test_a_new_record_that_steps_at_once_takes_the_room_of_its_step(store: Store) -> None:
    grown = [Swap(named(A, body=b""), None), Swap(named(A, step=1, body=bytes(MAX_BYTES)), 0)]
    with pytest.raises(Full):
        await store.swap([*grown, Swap(named(B, body=b"1"), None)])
    shrunk = [Swap(named(A, body=bytes(MAX_BYTES)), None), Swap(named(A, step=1, body=b""), 0)]
    assert await store.swap([*shrunk, Swap(named(B, body=b"1"), None)]) == [True] * 3


async def test_of_one_new_record_twice_the_first_takes_room(store: Store) -> None:
    twice = [Swap(named(A, body=b""), None), Swap(named(A, body=bytes(MAX_BYTES)), None)]
    assert await store.swap([*twice, Swap(named(B, body=bytes(MAX_BYTES - 100)), None)]) == [True, False, True]


async def test_what_would_open_a_record_that_is_there_takes_no_room_from_a_new_one(store: Store) -> None:
    await create(store, *map(named, [A, B, C, E]))
    swaps = [Swap(named(D), None), Swap(named(A), 0), Swap(named(A), None)]
    assert await store.swap(swaps) == [True, True, False]


@pytest.mark.parametrize("num", [1, 3, 5])
@pytest.mark.parametrize("num_bytes", [0, 300, 1950])
async def test_a_group_of_records_advances_as_each_would(store: Store, num: int, num_bytes: int) -> None:
    ids = [A, C, B, E, D][:num]
    await create(store, *(named(each, step=n, body=bytes(num_bytes)) for n, each in enumerate(ids)))
    for seed, used_at in enumerate([6001, 6002, 6300, 6000]):
        group = following(await store.load(ids), seed, num_bytes, used_at=used_at)
        assert await store.advance([group]) == [[True] * num]
        assert await store.load(ids) == [swap.record for swap in group.swaps()]
        assert await store.advance([group]) == [[False] * num]
    assert await store.count() == Count(num, num * num_bytes)
    assert await store.bundles() == {"echo:1": num}
    assert sorted(ids_of(await store.page("ann", "", 9))) == sorted(ids_of(await store.idlest(9))) == sorted(ids)
    assert await store.overdue(6600 - 1, 9) == []
    assert len(await store.overdue(6600 + MINUTE, 9)) == num


async def test_members_of_a_group_expire_each_at_its_own_time(store: Store) -> None:
    ids, ttls = [A, B, C, D, E], [600, 60, 0, 3600, 600]
    await create(store, *(named(each, ttl_seconds=1200) for each in ids))
    group = following(await store.load(ids), 0, 5, used_at=6030)._replace(ttl_seconds=ttls)
    assert await store.advance([group]) == [[True] * 5]
    loaded = [record for record in await store.load(ids) if isinstance(record, Record)]
    assert [record.expires_at for record in loaded] == [6630, 6090, 6030, 9630, 6630]
    for now, overdue in ((6029, []), (6089, [C]), (6149, [C, B]), (6689, [C, B, A, E]), (9689, [C, B, A, E, D])):
        assert sorted(ids_of(await store.overdue(now, 9))) == sorted(overdue)


async def test_members_of_a_group_that_lose_hurt_no_other(store: Store) -> None:
    ids = [A, B, C, D, E]
    await create(store, *map(named, ids))
    group = following(await store.load(ids), 0, 5, used_at=6001)
    await store.delete([A])
    await store.swap([Swap(named(C, step=1, body=b"first"), 0), Swap(named(D, step=1, ended="ended", body=b""), 0)])
    assert await store.advance([group]) == [[False, True, False, False, True]]
    won = [group.swap(index).record for index in (1, 4)]
    gone = named(D, step=1, ended="ended", body=b"")
    assert await store.load(ids) == [None, won[0], named(C, step=1, body=b"first"), gone, won[1]]
    assert await store.count() == Count(3, 15)


WRITES = {"memory": "swap", "lmdb": "_write", "redis": "swap"}
"""What a store writes by, all or nothing or in one round trip."""


async def test_several_groups_advance_in_one_call(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(store, *map(named, [A, B, C, D]), named(E, owner="eve", bundle="echo:2", ttl_seconds=60))
    one, other = await store.load([A, B, C, D]), await store.load([E])
    groups = [following(one, 0, 5), following(other, 1, 9)]
    assert await store.advance([]) == []
    write, calls = getattr(store, WRITES[store.backend]), []

    async def counted(work: object) -> object:
        calls.append(work)
        return await write(work)

    monkeypatch.setattr(store, WRITES[store.backend], counted)
    assert await store.advance(groups) == [[True] * 4, [True]]
    assert len(calls) == 1
    assert await store.load([A, B, C, D, E]) == [swap.record for group in groups for swap in group.swaps()]
    assert await store.bundles() == {"echo:1": 4, "echo:2": 1}


async def test_a_body_of_another_length_is_counted(store: Store) -> None:
    ids = [A, B, C, D]
    await create(store, *map(named, ids))
    for num_bytes in (1200, 90, 0, 2500, 40):
        assert await store.advance([following(await store.load(ids), num_bytes, num_bytes)]) == [[True] * 4]
        assert await store.count() == Count(4, 4 * num_bytes)


async def test_a_full_store_lets_a_group_advance(store: Store) -> None:
    ids = [A, B, C, D, E]
    await create(store, *map(named, ids))
    assert await store.advance([following(await store.load(ids), 0, MAX_BYTES)]) == [[True] * 5]
    assert (await store.count()).num_bytes == 5 * MAX_BYTES


async def test_what_is_no_id_as_ids_are_issued_advances_too(store: Store) -> None:
    ids = [A, "no id", "other", B, C]
    await create(store, *map(named, ids))
    for first in (ids, ids[1:]):
        group = following(await store.load(first), 3, 2000)
        assert await store.advance([group]) == [[True] * len(first)]
        assert await store.load(first) == [swap.record for swap in group.swaps()]


@given(HISTORIES, st.integers(0, 1300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_history_leaves_what_it_leaves_in_memory(
    store: Store, history: list[list[Swap] | str | Advance], now: int
) -> None:
    model = MemoryStore(Limits(MAX_SESSIONS, MAX_BYTES))
    await store.delete([A, B, C, D, f"{A}~one", f"{B}~one", "no id"])
    for event in history:
        assert await outcome(store, event) == await outcome(model, event)
    every = [A, B, C, D, f"{A}~one", f"{B}~one", "no id"]
    assert await store.load(every) == await model.load(every)
    assert await store.count() == await model.count()
    assert await store.bundles() == await model.bundles()
    for owner in ("", "ann", "eve"):
        assert await store.count_of(owner) == await model.count_of(owner)
    assert sorted(await store.page("ann", "", 9)) == sorted(await model.page("ann", "", 9))
    assert sorted(await store.idlest(9)) == sorted(await model.idlest(9))
    overdue = set(await store.overdue(now, 9))
    assert set(await model.overdue(now - MINUTE, 9)) <= overdue <= set(await model.overdue(now, 9))
