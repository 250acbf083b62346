"""Stores by their URLs."""

import re
from pathlib import Path

import pytest

from service.settings import SessionSettings
from service.stores.connect import StoreUnknown, lmdb_directory, open_store
from service.stores.redis.link import address_of


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


@pytest.mark.parametrize("user", ["", "ann:", ":"])
@pytest.mark.parametrize("digits", ["", "97"])
@pytest.mark.parametrize("rest", ["hunter#2", "hunter/2", "hunter?2", "#hunter", "/hunter", "?hunter"])
def test_a_password_with_a_character_of_urls_is_told_how_to_write_it(user: str, digits: str, rest: str) -> None:
    with pytest.raises(StoreUnknown, match="write #, /, \\?, @ and % as %23") as told:
        open_store(SessionSettings(store=f"redis://{user}{digits}{rest}@host:1"))
    assert not {"hunter", "97"} & set(re.findall("hunter|97", str(told.value)))


@pytest.mark.parametrize("url", ["redis://h:99999", "redis://[::1", "redis://h1:6379,h2:6379", "redis://h:port"])
def test_a_url_that_has_no_host_and_port_is_told_what_it_should_be(url: str) -> None:
    with pytest.raises(ValueError, match="form redis://user:password@host:port/db, with one host and"):
        address_of(url)


@pytest.mark.parametrize("url", ["redis://host:port", "redis://host/?max_connections=x"])
def test_a_url_of_redis_that_cannot_be_understood_is_told_without_it(url: str) -> None:
    with pytest.raises(StoreUnknown, match=r"^UNROLLED_STORE: the URL of the Redis server is not valid") as told:
        open_store(SessionSettings(store=url))
    assert url not in str(told.value)


@pytest.mark.parametrize(
    "url",
    ["lmdb://relative/path", "lmdb:relative", "lmdb:./a", "lmdb:///a%00b", "lmdb:///a?b=c", "lmdb:///a#b", "file:///a"],
)
def test_a_url_that_names_no_directory_is_told(url: str) -> None:
    with pytest.raises(StoreUnknown, match="absolute"):
        lmdb_directory(url)


@pytest.mark.parametrize("url", ["redis://ada:secret@[", "lmdb://["])
def test_what_is_no_url_is_told_without_it(url: str) -> None:
    for verb in (lambda: lmdb_directory(url), lambda: open_store(SessionSettings(store=url))):
        with pytest.raises(StoreUnknown, match=r"^UNROLLED_STORE is not a URL$"):
            verb()


@pytest.mark.parametrize("url", ["lmdb:///var/lib/a%20b", "lmdb:/var/lib/a%20b"])
def test_a_directory_is_named_by_its_path(url: str) -> None:
    assert lmdb_directory(url) == Path("/var/lib/a b")


@pytest.mark.parametrize("url", ["lmdb:", "lmdb://", "lmdb:///"])
def test_without_a_path_it_is_among_the_users_state_files(url: str) -> None:
    assert lmdb_directory(url, {"XDG_STATE_HOME": "/state"}) == Path("/state/unrolled/sessions")
    home = Path.home() / ".local/state/unrolled/sessions"
    assert lmdb_directory(url, {}) == lmdb_directory(url, {"XDG_STATE_HOME": "not/absolute"}) == home


@pytest.mark.parametrize("option", ["protocol=3", "timeout=1", "retry_on_timeout=True", "max_connections=10"])
def test_an_option_of_a_redis_url_that_would_fail_later_is_refused(option: str) -> None:
    name = option.partition("=")[0]
    with pytest.raises(StoreUnknown, match=f"there is no option '{name}'"):
        open_store(SessionSettings(store=f"redis://127.0.0.1:1?{option}"))


@pytest.mark.parametrize(
    "url", ["rediss://u:12%233%40@h:1/2?ssl_ca_certs=ca.pem", "redis://h?client_name=a%40b", "redis://h?db=2"]
)
def test_what_a_redis_url_may_say_is_taken(url: str) -> None:
    open_store(SessionSettings(store=url))


@pytest.mark.parametrize("url", ["valkey://ann:secret@host/0", "valkey://host?password=secret", "redis://:secret@host"])
def test_a_password_is_not_shown(url: str) -> None:
    with pytest.raises(StoreUnknown, match=r"UNROLLED_STORE='(valkey|redis)://\.\.\.' names no directory") as told:
        lmdb_directory(url)
    assert "secret" not in str(told.value)
    if not url.startswith("redis"):
        with pytest.raises(StoreUnknown, match=r"UNROLLED_STORE='valkey://\.\.\.': no store of kind 'valkey'"):
            open_store(SessionSettings(store=url))
