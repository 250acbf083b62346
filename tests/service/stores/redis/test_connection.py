"""What is found out about a server before it is used."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from service.record.ids import new_session_id
from service.stores.base import Unavailable
from service.stores.limits import Limits
from service.stores.redis import connection, link
from service.stores.redis.clock import ServerClock
from service.stores.redis.cluster import ClusterLink
from service.stores.redis.connection import Connection
from service.stores.redis.link import Reply
from service.stores.redis.script import Command
from service.stores.redis.store import RedisStore
from tests.ports import free_port
from tests.redis_server import (
    NEEDS_REDIS,
    REPOSITORY,
    await_cluster,
    documented_users,
    provided_cluster,
    provided_server,
    redis_server,
    restricted_url,
)

pytestmark = pytest.mark.anyio


@dataclass
class Told:
    """A server that says of itself what a test has it say."""

    version: str

    async def ask_all(self, *words: bytes) -> dict[str, Reply]:
        assert words == (b"HELLO",)
        return {"redis:6379": [b"version", self.version.encode(), b"mode", b"standalone", b"role", b"master"]}

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        assert [command.words for command in commands] == [[b"TIME"]]
        return [[b"1000", b"500000"]]

    is_sharded = False

    async def close(self) -> None: ...


@pytest.mark.parametrize(("version", "is_told"), [("6.2.14", True), ("7.0.0", False), ("10.1", False), ("", False)])
async def test_a_server_that_is_too_old_is_told(version: str, is_told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ServerLink", lambda _: Told(version))
    opened = Connection(f"redis://127.0.0.1:{free_port()}", clock := ServerClock(lambda: 7.0, lambda: 3.0))
    if is_told:
        with pytest.raises(Unavailable, match=f"redis:6379 is of version {version}; sessions need 7 or later"):
            await opened.groups([0])
    else:
        assert clock() == 7.0
        assert await opened.groups([0]) == [[0]]
        assert clock() == 1000.5


@dataclass
class Odd(Told):
    """A server that replies to HELLO as no server should."""

    hello: Reply = None

    async def ask_all(self, *words: bytes) -> dict[str, Reply]:
        if words == (b"HELLO",):
            return {"redis:6379": self.hello}
        assert words == (b"INFO", b"everything")
        return {"redis:6379": f"redis_version:{self.version}\r\ncluster_enabled:0\r\nrole:master\r\n".encode()}


@pytest.mark.parametrize(
    "hello",
    [ResponseError("unknown command 'HELLO'"), [b"version"], [[], 1], [b"version", 7], [b"server", b"redis"], b"OK", 7],
)
async def test_a_server_with_no_proper_reply_to_hello_is_asked_for_its_info(
    hello: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ServerLink", lambda _: Odd("6.2.14", hello))
    opened = Connection(f"redis://127.0.0.1:{free_port()}", ServerClock(lambda: 7.0, lambda: 3.0))
    with pytest.raises(Unavailable, match=r"redis:6379 is of version 6\.2\.14"):
        await opened.groups([0])


@NEEDS_REDIS
async def test_a_cluster_that_does_not_know_hello_is_recognised(tmp_path: Path) -> None:
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--rename-command", "HELLO", "")
    with redis_server(tmp_path, *options) as server:
        server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        await_cluster(server)
        store = RedisStore(server.url, Limits())
        assert (await store.count()).num_live == 0
        assert isinstance(store._connection._link, ClusterLink)
        await store.close()


@NEEDS_REDIS
async def test_a_refusal_of_the_shards_that_is_not_one_of_rights_is_told_as_the_server_says(tmp_path: Path) -> None:
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--rename-command", "CLUSTER", "")
    with redis_server(tmp_path, *options) as server:
        store = RedisStore(server.url, Limits())
        with pytest.raises(Unavailable, match="unknown command 'CLUSTER'") as told:
            await store.count()
        await store.close()
    assert "allow cluster|slots" not in str(told.value)


@NEEDS_REDIS
@pytest.mark.parametrize("denied", [["-@dangerous"], ["-info"]])
async def test_a_cluster_is_known_as_one_by_a_user_who_may_not_ask_for_much(denied: list[str]) -> None:
    servers = provided_cluster()
    for server in servers:
        server.cli("ACL", "SETUSER", "ann", "reset", "on", ">word", "~*", "+@all", *denied)
    store = RedisStore(f"redis://ann:word@127.0.0.1:{servers[1].port}", Limits())
    assert (await store.count()).num_live == 0
    assert await store.load([new_session_id(1000.0 * n) for n in range(64)]) == [None] * 64
    await store.close()


@NEEDS_REDIS
async def test_a_user_who_may_not_ask_for_the_shards_is_told_so() -> None:
    servers = provided_cluster()
    for server in servers:
        server.cli("ACL", "SETUSER", "ann", "reset", "on", ">word", "~*", "+@all", "-cluster|slots")
    store = RedisStore(f"redis://ann:word@127.0.0.1:{servers[1].port}", Limits())
    with pytest.raises(Unavailable, match=r"allow cluster\|slots"):
        await store.count()
    await store.close()


def make_certificate(certificate: Path, key: Path) -> None:
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *subject], check=True, capture_output=True)  # noqa: S603  words of this test


@NEEDS_REDIS
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_what_may_be_wrong_with_a_url_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key, port = tmp_path / "certificate.pem", tmp_path / "key.pem", free_port()
    make_certificate(certificate, key)
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
    with redis_server(tmp_path, "--tls-port", str(port), *files, "--tls-ca-cert-file", str(certificate)) as server:

        async def refusal(url: str) -> str:
            store = RedisStore(url, Limits())
            with pytest.raises(Unavailable) as told:
                await store.count()
            await store.close()
            return str(told.value)

        store = RedisStore(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}", Limits())
        assert (await store.count()).num_live == 0
        await store.close()
        lost = await refusal(f"rediss://127.0.0.1:{port}?ssl_ca_certs=/no.pem")
        assert "ssl_ca_certs=/no.pem cannot be read" in lost
        assert "; if it speaks TLS, write rediss://" in await refusal(f"redis://127.0.0.1:{port}")
        server.cli("CONFIG", "SET", "requirepass", "a%41b")
        wrong = await refusal(f"redis://:a%41b@127.0.0.1:{server.port}")
        assert wrong.endswith("; if a % in the user name or the password is meant literally, write it as %25")
        for options in ("", "/3", "?client_name=a"):  # each changes the first command
            assert (await refusal(server.url + options)).endswith("it asks for a password")
        with_password = RedisStore(f"redis://:a%2541b@127.0.0.1:{server.port}", Limits())
        assert (await with_password.count()).num_live == 0
        await with_password.close()
        monkeypatch.setattr(link, "TIMEOUT_SECONDS", 0.5)
        plain = await refusal(f"rediss://127.0.0.1:{server.port}?ssl_ca_certs={certificate}")
        assert plain.endswith("it does not answer")


@pytest.mark.parametrize("reason", ["max number of clients reached", "Error 111 connecting to localhost:6379."])
def test_a_server_that_says_what_is_wrong_is_not_taken_for_one_that_speaks_tls(reason: str) -> None:
    assert connection._hint("redis://localhost", RedisConnectionError(reason)) == ""


@NEEDS_REDIS
async def test_a_server_with_too_many_clients_is_told(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxclients", "1") as server:
        first, second = RedisStore(server.url, Limits()), RedisStore(server.url, Limits())
        assert (await first.count()).num_live == 0
        with pytest.raises(Unavailable) as told:
            await second.count()
        reason = str(told.value)  # what the server says is read, or lost as it closes the connection
        assert reason.endswith(("cannot be used: max number of clients reached", "too many clients (maxclients)"))
        await first.close()
        await second.close()


@NEEDS_REDIS
async def test_a_documented_user_may_use_another_database() -> None:
    server = provided_server()
    url = f"{restricted_url(server)}/3"
    store = RedisStore(url, Limits())
    with pytest.raises(Unavailable, match="no permissions to run the 'select' command"):
        await store.count()
    server.cli(*documented_users()[2])
    assert (await store.count()).num_live == 0
    assert (await store.inspect()).losses == []
    await store.close()
    server.cli("ACL", "DELUSER", "unrolled")


@NEEDS_REDIS
@pytest.mark.parametrize("kind", ["one server", "cluster"])
async def test_no_command_of_a_documented_user_is_refused(kind: str) -> None:
    servers = [provided_server()] if kind == "one server" else provided_cluster()
    url = restricted_url(*servers)
    for server in servers:
        server.cli("CONFIG", "RESETSTAT")
        server.cli("ACL", "LOG", "RESET")
    store = RedisStore(url, Limits())
    assert (await store.count()).num_live == 0
    await store.inspect()
    await store.close()
    for server in servers:
        assert server.cli("INFO", "errorstats").splitlines()[1:] == []  # [0] is the title
        assert server.cli("ACL", "LOG") == ""


@NEEDS_REDIS
def test_a_documented_user_is_kept_by_the_documented_command(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "sessions.md").read_text()
    assert "`redis-cli ACL SAVE` if redis.conf names an `aclfile`" in text
    file = tmp_path / "users.acl"
    file.touch()
    with redis_server(tmp_path, "--aclfile", str(file)) as server:
        server.cli(*documented_users()[0])
        server.cli("ACL", "SAVE")
        server.kill()
        server.start()
        assert "unrolled" in server.cli("ACL", "USERS").split()


def test_a_documented_user_may_run_what_the_scripts_call() -> None:
    sources = "".join(path.read_text() for path in Path(connection.__file__).parent.glob("*.lua"))
    called = {f"+{name.lower()}" for name in re.findall(r"redis\.p?call\('(\w+)'", sources)}
    assert "+zmscore" in called
    assert called <= set(documented_users()[0])
