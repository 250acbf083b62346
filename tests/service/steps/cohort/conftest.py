"""A process that lets sessions step together, over a store that answers at once or makes it wait."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.process import Process
from tests.fakes.stores import FaultyStore


@pytest.fixture(params=[True, False], ids=["immediate", "waits"])
def store(request: pytest.FixtureRequest) -> FaultyStore:
    return FaultyStore(is_immediate=request.param)


@pytest.fixture
async def process(store: FaultyStore) -> AsyncIterator[Process]:
    async with Process(store, max_cached_sessions=100) as opened:
        yield opened


@pytest.fixture
def in_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every run be one of the engine's thread, so that the loop goes on meanwhile."""
    monkeypatch.setattr("service.engine.run_policy.INLINE_SECONDS", 0.0)
    monkeypatch.setattr("service.engine.run_policy.LONE_INLINE_SECONDS", 0.0)
