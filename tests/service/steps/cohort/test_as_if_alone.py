"""Whoever steps together is left as if alone: whatever others do, wherever and whenever."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import (
    ServiceError,
)
from service.steps.turn import Ask
from service.stores.base import Record, Store, Swap
from service.stores.limits import Limits
from service.stores.lmdb.store import LmdbStore
from service.stores.memory import MemoryStore
from tests.fakes.clock import Clock
from tests.fakes.process import Process
from tests.service.steps.cohort.together import of, told

pytestmark = pytest.mark.anyio


ALIKE: list[dict[str, object]] = [{}, {"ttl_seconds": 50}, {"owner": "eve"}, {"keep_inputs": True}]
"""What sessions of a test differ in."""


class Pair:
    """One service that lets sessions go together and one that never does, over stores with the same sessions."""

    def __init__(self, together: Store, apart: Store, max_cached_sessions: int, lifetime: int) -> None:
        self.stores = together, apart
        self.clock = Clock()
        limits = {"session_ttl_seconds": 90, "max_session_lifetime_seconds": lifetime}
        self.together = Process(together, self.clock, max_cached_sessions=max_cached_sessions, **limits)
        self.apart = Process(apart, self.clock, **limits)
        self.rival = Process(together, self.clock, **limits)
        self.sessions: list[tuple[str, str]] = []

    async def create(self, number: int) -> None:
        request = dict(ALIKE[number])
        owner = str(request.pop("owner", "ann"))
        session_id = await self.together.create(owner, **request)
        self.sessions.append((session_id, owner))
        (record,) = await self.stores[0].load([session_id])
        assert await self.stores[1].swap([Swap(record, None)]) == [True]  # type: ignore[arg-type]  # there is one

    async def elsewhere(self, number: int, event: str) -> None:
        """Let something happen to a session that those who go together do not know of."""
        session_id, owner = self.sessions[number]
        for store, process in zip(self.stores, (self.rival, self.apart), strict=True):
            with suppress(ServiceError):
                if event == "text":
                    await process.steps.take(Ask(owner, session_id, inputs={"text": "abc+"}))
                elif event == "save":
                    await process.transitions.save(owner, session_id, "here")
                elif event == "end":
                    await process.sessions.end(owner, session_id)
                else:
                    await store.delete([session_id])

    async def take(self, asks: Sequence[Ask]) -> None:
        """Take steps together in one and one by one in the other, with the same end."""
        together = await told(self.together, asks)
        apart = [(await told(self.apart, [each]))[0] for each in asks]
        assert [of(each) for each in together] == [of(each) for each in apart]
        ids = [session_id for session_id, _ in self.sessions]
        assert await self.stores[0].load(ids) == await self.stores[1].load(ids)


STEPS = st.fixed_dictionaries(
    {
        "ids": st.lists(st.integers(0, 12), min_size=1, max_size=2) | st.just([1, 2, 3, 4, 5, 6]),
        "returns": st.sampled_from(["argmax", "argmax", "none", None, "logits"]),
        "named": st.sampled_from([None, None, None, 0, 0, 0, 0, -1, 1]),  # relative to what is next
        "is_stranger": st.sampled_from([False] * 9 + [True]),
    }
)
Round = tuple[set[int], dict[str, Any], dict[int, dict[str, Any]], dict[int, str], int]
"""Who is absent, what the others do, what some of them do instead, what befalls some before, and after how long."""
ROUNDS: st.SearchStrategy[list[Round]] = st.lists(
    st.tuples(
        st.sets(st.integers(0, 23), max_size=8),
        STEPS,
        st.dictionaries(st.integers(0, 23), STEPS, max_size=3),
        st.dictionaries(st.integers(0, 23), st.sampled_from(["text", "text", "save", "end", "delete"]), max_size=2),
        st.sampled_from([0, 0, 0, 0, 0, 1, 3, 30, 61, -5, -70]),
    ),
    min_size=3,
    max_size=6,
)


@given(rounds=ROUNDS, max_cached_sessions=st.sampled_from([0, 100]), lifetime=st.sampled_from([10_000, 100, 60]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("backend", ["memory", "lmdb"])
async def test_whoever_steps_together_is_left_as_if_alone(
    tmp_path_factory: pytest.TempPathFactory, backend: str, max_cached_sessions: int, lifetime: int, rounds: list[Round]
) -> None:
    directory = tmp_path_factory.mktemp("stores")
    stores = [
        MemoryStore(Limits()) if backend == "memory" else LmdbStore(directory / name, Limits())
        for name in ("together", "apart")
    ]
    pair = Pair(*stores, max_cached_sessions, lifetime)
    async with pair.together, pair.apart, pair.rival:
        for n in range(24):
            await pair.create((0, 0, 0, 0, 0, 1, 2, 3)[n % 8])
        for absent, shared, others, elsewhere, seconds in rounds:
            pair.clock.now += seconds
            for number, event in elsewhere.items():
                await pair.elsewhere(number, event)
            asks = []
            for n, (session_id, owner) in enumerate(pair.sessions):
                if n in absent:
                    continue
                step = {**shared, **others.get(n, {})}
                (record,) = await stores[0].load([session_id])
                due = record.step if isinstance(record, Record) else 0
                number = None if step["named"] is None else max(0, due + step["named"])
                who = "mallory" if step["is_stranger"] else owner
                asks.append(Ask(who, session_id, number, values=np.array(step["ids"]), returns=step["returns"]))
            await pair.take(asks)
    if backend == "lmdb":
        assert rows(stores[0]) == rows(stores[1])
    for each in stores:
        await each.close()


def rows(store: LmdbStore) -> list[list[tuple[bytes, bytes]]]:
    """All that an LMDB store holds."""
    opened = store._open()
    tables = opened.tables
    with opened.environment.begin() as txn:
        held = (tables.records, tables.by_owner, tables.by_use, tables.by_expiry, tables.counts)
        return [list(txn.cursor(table)) for table in held]
