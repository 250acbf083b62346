"""Stores by their URLs."""

from pathlib import Path

import pytest

from service.settings import SessionSettings
from service.stores.connect import StoreUnknown, lmdb_directory, open_store


@pytest.mark.parametrize(
    ("url", "backend"),
    [("memory://", "memory"), ("lmdb://", "lmdb"), ("lmdb:///some/where", "lmdb")],
)
def test_the_scheme_names_the_backend(url: str, backend: str) -> None:
    assert open_store(SessionSettings(store=url)).backend == backend


@pytest.mark.parametrize("url", ["", "sqlite:///a", "lmdb", "/a/path"])
def test_an_unknown_scheme_is_told(url: str) -> None:
    with pytest.raises(StoreUnknown, match=r"there are lmdb://, redis://"):
        open_store(SessionSettings(store=url))


@pytest.mark.parametrize("url", ["redis://host:port", "redis://host/?max_connections=x"])
def test_a_url_of_redis_that_cannot_be_understood_is_told_without_it(url: str) -> None:
    with pytest.raises(
        StoreUnknown, match=r"^UNROLLED_STORE: the URL of the Redis server cannot be understood"
    ) as told:
        open_store(SessionSettings(store=url))
    assert url not in str(told.value)


@pytest.mark.parametrize("url", ["lmdb://relative/path", "lmdb:///a?b=c", "lmdb:///a#b", "file:///a"])
def test_a_url_that_names_no_directory_is_told(url: str) -> None:
    with pytest.raises(StoreUnknown, match="absolute"):
        lmdb_directory(url)


def test_a_directory_is_named_by_its_path() -> None:
    assert lmdb_directory("lmdb:///var/lib/a%20b") == Path("/var/lib/a b")


@pytest.mark.parametrize("url", ["lmdb://", "lmdb:///"])
def test_without_a_path_it_is_among_the_users_state_files(url: str) -> None:
    assert lmdb_directory(url, {"XDG_STATE_HOME": "/state"}) == Path("/state/unrolled/sessions")
    home = Path.home() / ".local/state/unrolled/sessions"
    assert lmdb_directory(url, {}) == lmdb_directory(url, {"XDG_STATE_HOME": "not/absolute"}) == home
