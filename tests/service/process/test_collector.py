"""Garbage collection in idle moments."""

import asyncio
import gc
import time
import weakref

import pytest

from service.process.collector import collect_when_idle

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


async def test_too_many_objects_are_collected_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.process.collector.TOO_MANY_OBJECTS", -1)
    assert await is_freed(False, monkeypatch, 60)
