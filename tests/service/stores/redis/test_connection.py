"""What is found out about a server before it is used."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from service.stores.base import Unavailable
from service.stores.redis import connection
from service.stores.redis.clock import ServerClock
from service.stores.redis.connection import Connection
from service.stores.redis.link import Reply
from service.stores.redis.script import Command
from tests.ports import free_port

pytestmark = pytest.mark.anyio


@dataclass
class Told:
    """A server that says of itself what a test has it say."""

    info: str

    async def ask_all(self, *words: bytes) -> dict[str, Reply]:
        assert words[0] == b"INFO"
        return {"redis:6379": self.info.encode()}

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        assert [command.words for command in commands] == [[b"TIME"]]
        return [[b"1000", b"500000"]]

    is_sharded = False

    async def close(self) -> None: ...


@pytest.mark.parametrize(("version", "is_told"), [("6.2.14", True), ("7.0.0", False), ("10.1", False), ("", False)])
async def test_a_server_that_is_too_old_is_told(version: str, is_told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ServerLink", lambda _: Told(f"redis_version:{version}\r\ncluster_enabled:0\r\n"))
    opened = Connection(f"redis://127.0.0.1:{free_port()}", clock := ServerClock(lambda: 7.0, lambda: 3.0))
    if is_told:
        with pytest.raises(Unavailable, match=f"redis:6379 is of version {version}; sessions need 7 or later"):
            await opened.groups([0])
    else:
        assert clock() == 7.0
        assert await opened.groups([0]) == [[0]]
        assert clock() == 1000.5
