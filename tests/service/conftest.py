"""Parts of a service that many tests share."""

import sys
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest

from service.bundle.manifest import read_bundle
from service.engine.runtime import Runtime
from service.protocols import http
from service.stores.lmdb.store import MAP_BYTES
from tests.fakes.asgi import Surface
from tests.fakes.port import Port
from tests.fakes.process import Process
from tests.fakes.stores import FaultyStore
from tests.paths import MODELS


@pytest.fixture(autouse=True)
def _stores_are_closed() -> Iterator[None]:
    """A store that a test leaves open maps so much that a later test, which limits the address space, would fail."""
    yield
    assert sys.platform != "linux" or psutil.Process().memory_info().vms < MAP_BYTES


@pytest.fixture
def store() -> FaultyStore:
    """An empty store."""
    return FaultyStore()


@pytest.fixture(params=[0, 100], ids=["loads each step", "keeps sessions at hand"])
async def process(store: FaultyStore, request: pytest.FixtureRequest) -> AsyncIterator[Process]:
    """One worker over that store: of several, or the only one."""
    async with Process(store, max_cached_sessions=request.param) as opened:
        yield opened


@pytest.fixture(scope="session")
def generation() -> Runtime:
    """The shipped bundle for generation, its graphs opened."""
    return Runtime(read_bundle(MODELS / "generation"))


@pytest.fixture
def surface(process: Process) -> Surface:
    """The plain application over that worker."""
    return Surface(process)


@pytest.fixture
async def port(process: Process) -> AsyncIterator[Port]:
    """That worker's second port, listening."""
    port = Port(process)
    await port.listen()
    yield port
    await port.server.stop()


@pytest.fixture
def impatient(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may be silent for a second."""
    monkeypatch.setattr(http, "KEEP_ALIVE_SECONDS", 1)
    port.config.timeout_keep_alive = 1
