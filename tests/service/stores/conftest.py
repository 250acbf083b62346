"""Backends of the conformance and race suites: add one by its name and how it is opened."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from service.stores.base import Store
from service.stores.lmdb import Durability, LmdbStore
from service.stores.memory import MemoryStore

MAX_BYTES = 10_000


class Backend(Protocol):
    """Opens an empty store with room for so many live sessions, and closes it."""

    def __call__(self, directory: Path, max_sessions: int, /) -> AbstractAsyncContextManager[Store]: ...


@asynccontextmanager
async def memory(_: Path, max_sessions: int) -> AsyncIterator[Store]:
    store = MemoryStore(max_sessions, MAX_BYTES)
    yield store
    await store.close()


def lmdb(durability: Durability) -> Backend:
    @asynccontextmanager
    async def opened(directory: Path, max_sessions: int) -> AsyncIterator[Store]:
        store = LmdbStore(directory, max_sessions, MAX_BYTES, durability)
        yield store
        await store.close()

    return opened


BACKENDS: dict[str, Backend] = {"memory": memory, "lmdb": lmdb("process"), "lmdb-commit": lmdb("commit")}


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store of each backend, with room for 5 live sessions and MAX_BYTES."""
    async with BACKENDS[request.param](tmp_path / "store", 5) as opened:
        yield opened
