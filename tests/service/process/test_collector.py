"""Garbage collection in idle moments."""

import asyncio
import gc
import time
import weakref
from collections import Counter

import pytest

from service.process.collector import MANY_COLLECTIONS, collect_when_idle
from tests.fakes.process import until

pytestmark = pytest.mark.anyio


class Cycle:
    """An object that only a collection frees."""

    def __init__(self) -> None:
        self.itself = self


async def is_freed(is_idle: bool, monkeypatch: pytest.MonkeyPatch, seconds: float) -> bool:
    monkeypatch.setattr("service.process.collector.POLL_SECONDS", 0.001)
    collecting = asyncio.create_task(collect_when_idle(lambda: is_idle))
    await asyncio.sleep(0)
    assert not gc.isenabled()
    cycle = weakref.ref(Cycle())
    assert cycle() is not None
    ends_at = time.monotonic() + seconds
    while not (freed := cycle() is None) and time.monotonic() < ends_at:  # noqa: ASYNC110  a collection sends no event
        await asyncio.sleep(0.001)
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    gc.unfreeze()
    return freed


@pytest.mark.parametrize(("is_idle", "seconds"), [(True, 60), (False, 0.2)])
async def test_cycles_are_collected_when_nobody_waits(
    is_idle: bool, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await is_freed(is_idle, monkeypatch, seconds) == is_idle
    assert gc.isenabled()


async def test_many_new_objects_are_collected_under_load_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.process.collector.MANY_OBJECTS", -1)
    assert await is_freed(False, monkeypatch, 60)


async def test_under_load_all_objects_are_collected_after_many_collections_of_new_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.process.collector.POLL_SECONDS", 0.001)
    monkeypatch.setattr("service.process.collector.MANY_OBJECTS", -1)
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    gc.callbacks.append(note)
    collecting = asyncio.create_task(collect_when_idle(lambda: False))
    await until(lambda: len(generations) >= 2 * MANY_COLLECTIONS + 3)
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    gc.callbacks.remove(note)
    gc.unfreeze()
    young = [1] * MANY_COLLECTIONS
    assert generations[: 2 * MANY_COLLECTIONS + 3] == [2, *young, 2, *young, 2]


async def test_all_objects_are_collected_rarely_if_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.process.collector.POLL_SECONDS", 0.001)
    num_collections: Counter[int] = Counter()

    def count(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            num_collections[info["generation"]] += 1
            time.sleep(0.1 if info["generation"] == 2 else 0)

    gc.callbacks.append(count)
    collecting = asyncio.create_task(collect_when_idle(lambda: True))
    await until(lambda: num_collections[1] >= 100)
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    gc.callbacks.remove(count)
    gc.unfreeze()
    assert num_collections[2] == 2  # at the start, and once while idle


async def test_what_becomes_garbage_late_is_collected_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.process.collector.POLL_SECONDS", 0.001)
    collecting = asyncio.create_task(collect_when_idle(lambda: True))
    await asyncio.sleep(0)
    cycle = Cycle()
    gc.collect(1)  # it is old now
    freed = weakref.ref(cycle)
    del cycle
    await until(lambda: freed() is None)
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    gc.unfreeze()
