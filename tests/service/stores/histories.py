"""What is done to stores: records, steps of many of them, and histories of both that hypothesis makes up."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from service.record.ids import new_session_id
from service.stores.base import CHECKPOINT, Damaged, Full, Record, Store, Swap, SwapGroup

A, B, C, D, E, F = (new_session_id(1000.0 * n) for n in range(6))
RECORD = Record(A, "ann", "echo:1", step=0, used_at=6000, ttl_seconds=600, body=b"state")


def named(session_id: str, **changes: object) -> Record:
    return RECORD._replace(session_id=session_id, **changes)


async def create(store: Store, *records: Record) -> None:
    assert await store.swap([Swap(record, None) for record in records]) == [True] * len(records)


def following(records: Sequence[Record | Damaged | None], seed: int, num_bytes: int, **changes: object) -> SwapGroup:
    """The records that follow those, in bodies of so many bytes."""
    before = [record for record in records if isinstance(record, Record)]
    bodies = np.random.default_rng(seed).integers(0, 256, (len(before), num_bytes), np.uint8)
    ids, steps = [record.session_id for record in before], [record.step + 1 for record in before]
    cut = num_bytes // 3
    alike = before[0]._replace(**changes)
    names = alike.owner, alike.bundle, alike.used_at
    return SwapGroup(ids, steps, [record.ttl_seconds for record in before], *names, bodies[:, :cut], bodies[:, cut:])


RECORDS = st.builds(
    Record,
    session_id=st.sampled_from([A, B, C, D, f"{A}~one", f"{B}~one", "no id"]),
    owner=st.sampled_from(["", "ann", "eve"]),
    bundle=st.sampled_from(["echo:1", "echo:2"]),
    step=st.integers(0, 3),
    used_at=st.integers(0, 600),
    ttl_seconds=st.integers(0, 600),
    ended=st.sampled_from(["", "", "", "ended", CHECKPOINT]),
    body=st.integers(0, 5000).map(lambda length: b"%d" % length),  # stands for a body of that length
)
SWAPS = st.builds(Swap, RECORDS, st.none() | st.integers(0, 3), st.booleans())


class Advance(NamedTuple):
    """A group of those of some records that there are, of which those `astray` follow another step."""

    ids: list[str]
    astray: set[int]
    used_at: int
    num_bytes: int

    async def to(self, store: Store) -> list[list[bool]]:
        """What a store says to it."""
        found = await store.load(self.ids)
        if not any(found):
            return []
        group = following(found, 1, self.num_bytes, used_at=self.used_at)
        steps = [step + (n in self.astray) for n, step in enumerate(group.steps)]
        return await store.advance([group._replace(steps=steps)])


ADVANCES = st.builds(
    Advance,
    ids=st.permutations([A, B, C, D, f"{A}~one", "no id"]),
    astray=st.sets(st.integers(0, 5), max_size=2),
    used_at=st.integers(0, 600),
    num_bytes=st.integers(0, 5000),
)
HISTORIES = st.lists(st.lists(SWAPS, max_size=4) | st.sampled_from([A, B, "no id"]) | ADVANCES, max_size=12)
"""What is done to a store: swaps, a deletion, or a step of many."""


async def outcome(store: Store, event: list[Swap] | str | Advance) -> object:
    if isinstance(event, Advance):
        return await event.to(store)
    try:
        return await (store.delete([event]) if isinstance(event, str) else store.swap(await made(store, event)))
    except Full as refusal:
        return type(refusal)


async def made(store: Store, swaps: list[Swap]) -> list[Swap]:
    """Swaps whose bodies have their lengths, and of which those alone may open that find what is over."""
    ids = [swap.record.session_id for swap in swaps]
    over = [isinstance(each, Record) and each.ended != "" for each in await store.load(ids)]
    return [
        Swap(
            swap.record._replace(body=bytes(int(swap.record.body))),
            swap.expected_step,
            swap.is_opening and is_over and not swap.record.ended and ids.count(swap.record.session_id) == 1,
        )
        for swap, is_over in zip(swaps, over, strict=True)
    ]
