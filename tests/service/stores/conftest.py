"""Backends of the conformance and race suites: add one by its name and how an empty store of it is provided."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from service.settings import SessionSettings
from service.stores.base import Store
from service.stores.connect import open_store
from service.stores.redis import cluster, link
from tests import redis_server

MAX_SESSIONS = 5
MAX_BYTES = 10_000
QUOTA = 2
PATIENCE_SECONDS = 60.0
SERVING_SECONDS = link.TIMEOUT_SECONDS

Provided = dict[str, str]
Backend = Callable[[Path], AbstractAsyncContextManager[Provided]]
"""Provides an empty store as long as its context lasts: the session settings that name it, `store` and others."""


@asynccontextmanager
async def memory(_: Path) -> AsyncIterator[Provided]:
    yield {"store": "memory://"}


@asynccontextmanager
async def lmdb(directory: Path) -> AsyncIterator[Provided]:
    yield {"store": f"lmdb://{directory / 'store'}"}


@asynccontextmanager
async def lmdb_commit(directory: Path) -> AsyncIterator[Provided]:
    yield {"store": f"lmdb://{directory / 'store'}", "durability": "commit"}


@asynccontextmanager
async def redis(_: Path) -> AsyncIterator[Provided]:
    yield {"store": redis_server.restricted_url(redis_server.provided_server())}


@asynccontextmanager
async def redis_cluster(_: Path) -> AsyncIterator[Provided]:
    yield {"store": redis_server.restricted_url(*redis_server.provided_cluster())}


BACKENDS: dict[str, Backend] = {
    "memory": memory,
    "lmdb": lmdb,
    "lmdb-commit": lmdb_commit,
    "redis": redis,
    "redis-cluster": redis_cluster,
}
SHARED = [name for name in BACKENDS if name != "memory"]


@pytest.fixture(scope="session", autouse=True)
def _shared_redis_servers() -> Iterator[None]:
    yield
    redis_server.stop_shared()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server has long to answer: the machine may have other things to do."""
    for module in (link, cluster):
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server has as long to answer as when serving, for tests in which one hangs."""
    for module in (link, cluster):
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", SERVING_SECONDS)


def limited(provided: Provided, **limits: int) -> SessionSettings:
    """Settings with room for MAX_SESSIONS and MAX_BYTES, which are fewer than a service may have."""
    return SessionSettings(**provided, **limits, max_sessions=MAX_SESSIONS).model_copy(
        update={"max_store_bytes": MAX_BYTES}
    )


@pytest.fixture(params=BACKENDS)
async def provided(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Provided]:
    """The settings of an empty store of each backend; a test may ask for some backends alone."""
    async with BACKENDS[request.param](tmp_path) as settings:
        yield settings


@pytest.fixture
async def shared_out(provided: Provided) -> AsyncIterator[Store]:
    """The same, of which an owner may have QUOTA sessions."""
    opened = open_store(limited(provided, max_sessions_per_owner=QUOTA))
    yield opened
    await opened.close()


@pytest.fixture
async def store(provided: Provided) -> AsyncIterator[Store]:
    """An empty store of each backend, with room for MAX_SESSIONS and MAX_BYTES."""
    opened = open_store(limited(provided))
    yield opened
    await opened.close()
