"""Two real services of two workers, with the shipped bundles, for all tests of this folder that do not end them.

One of them asks for keys.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from service.keys.key_file import add_key
from tests.e2e.asking import http_client, open_session
from tests.e2e.bundles import SENTIMENT, import_into
from tests.e2e.server import Server
from tests.e2e.silent import SilentClient
from tests.e2e.visitor import Visitor, browser_path
from tests.e2e.workers import client_of_each
from tests.redis_server import RedisServer, redis_server

EXPORT_KEY = "0123456789abcdef" * 2
SHARED = {"UNROLLED_WORKERS": "2", "UNROLLED_EXPORT_KEY": EXPORT_KEY}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The running service."""
    with Server(tmp_path_factory.mktemp("home"), settings=SHARED) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of the running service."""
    with http_client(server.url) as opened:
        yield opened


@pytest.fixture(scope="session")
def fast(server: Server) -> Iterator[httpx.Client]:
    """A client of the running service's second port."""
    with http_client(server.fast_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of keys, empty until somebody has one."""
    return tmp_path_factory.mktemp("keys") / "keys"


@pytest.fixture(scope="session")
def tokens(keys: Path) -> dict[str, str]:
    """A key of each owner, in that file."""
    return {owner: add_key(keys, owner) for owner in ("ann", "bob")}


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, keys: Path, tokens: dict[str, str]) -> Iterator[Server]:
    """A service that asks who calls."""
    assert tokens
    with Server(tmp_path_factory.mktemp("home"), settings={**SHARED, "UNROLLED_API_KEYS": str(keys)}) as running:
        yield running


@pytest.fixture(scope="session")
def pair(server: Server) -> Iterator[list[httpx.Client]]:
    """A client on each of the two workers, on their second port."""
    with client_of_each(server) as clients:
        yield list(clients.values())


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of a module's own, which loses nothing that it has acknowledged."""
    with redis_server(tmp_path_factory.mktemp("redis"), "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture(scope="module")
def silent(server: Server, client: httpx.Client) -> Iterator[SilentClient]:
    """Who reads nothing of what it is answered; tests go on in its company until it is dropped."""
    opened = SilentClient(server.fast_port, open_session(client, "generation"))
    opened.send()
    yield opened
    opened.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home for a service that a test starts itself."""
    return tmp_path


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a service of one small bundle, to be copied: to import one takes seconds."""
    home = tmp_path_factory.mktemp("small")
    import_into(home, SENTIMENT)
    return home


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window; it holds an event loop, which no other module's tests would outlive."""
    path = browser_path()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path)
        yield launched
        launched.close()


@pytest.fixture
def visitor(browser: Browser, server: Server) -> Iterator[Visitor]:
    """Somebody who looks at the service."""
    come = Visitor(browser, server.url)
    yield come
    come.leave()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors."""
    come: list[Visitor] = []

    def make(url: str, width: int = 1200) -> Visitor:
        come.append(Visitor(browser, url, width))
        return come[-1]

    yield make
    for each in come:
        each.leave()
