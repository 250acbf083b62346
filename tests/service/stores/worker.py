"""A process that uses a store, for tests that need several, or one to kill.

    python -m tests.service.stores.worker ROLE SETTINGS IDS WORKER    settings and ids as JSON

It has opened the store when it says `ready`, and starts when it is told something on its input. Then it says, a line
each time, what it has won: `[[id, step], ...]`.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterable

from service.settings import SessionSettings
from service.stores.base import Damaged, QuotaReached, Record, Store, Swap
from service.stores.connect import open_store

NUM_STEPS = 100
USED_AT = 6000


def body_of(session_id: str, step: int, worker: str) -> bytes:
    """Tells who wrote a step."""
    return f"{session_id} {step} {worker};".encode() * 120


async def race(store: Store, ids: list[str], worker: str) -> None:
    """Create and step every id until it has had NUM_STEPS."""
    while True:
        swaps = [swap for swap in await _next_swaps(store, ids, worker) if swap.record.step < NUM_STEPS]
        if not swaps:
            return
        await _swap(store, swaps)
        await asyncio.sleep(0.001)  # or the first to have a lock may keep it until all is over


async def storm(store: Store, ids: list[str], worker: str) -> None:
    """Step every id for ever."""
    while True:
        await _swap(store, await _next_swaps(store, ids, worker))


async def crowd(store: Store, ids: list[str], worker: str) -> None:
    """Open every id, as far as the quota goes."""
    for each in ids:
        with contextlib.suppress(QuotaReached):
            await _swap(store, [_next_swap(each, None, worker)])


async def _next_swaps(store: Store, ids: list[str], worker: str) -> list[Swap]:
    return [_next_swap(each, found, worker) for each, found in zip(ids, await store.load(ids), strict=True)]


def _next_swap(session_id: str, found: Record | Damaged | None, worker: str) -> Swap:
    if isinstance(found, Damaged):
        raise TypeError(found.reason)
    step = 0 if found is None else found.step + 1
    body = body_of(session_id, step, worker)
    return Swap(Record(session_id, "ann", "echo:1", step, USED_AT, 10**6, "", body), found.step if found else None)


async def _swap(store: Store, swaps: Iterable[Swap]) -> None:
    swaps = list(swaps)
    won = await store.swap(swaps)
    records = [swap.record for swap, is_won in zip(swaps, won, strict=True) if is_won]
    _say(json.dumps([[record.session_id, record.step] for record in records]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _main(role: str, settings: str, ids: str, worker: str) -> None:
    store = open_store(SessionSettings(**json.loads(settings)))
    await store.count()
    _say("ready")
    sys.stdin.readline()
    await {"race": race, "storm": storm, "crowd": crowd}[role](store, json.loads(ids), worker)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
