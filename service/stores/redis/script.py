"""Commands for a Redis server, and the Lua scripts that it runs atomically."""

from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import NamedTuple

_DIRECTORY = Path(__file__).parent
ALL_KEYS = 6  # of a record; record.lua lists them
STEP_KEYS = 4


class Script:
    """A Lua script.

    Args:
        names: The files that it is concatenated from, in order.
        flags: Redis 7's script flags: "allow-oom" for one that frees memory, "no-writes" for one that only reads.
        keys_each: Number of keys for each record that it writes.

    Attributes:
        keys_each: See above.
    """

    def __init__(self, *names: str, flags: str = "", keys_each: int = ALL_KEYS) -> None:
        parts = [(_DIRECTORY / f"{name}.lua").read_text() for name in names]
        self.keys_each = keys_each
        self.source = "".join([f"#!lua flags={flags}\nlocal KEYS_EACH = {keys_each}\n", *parts]).encode()
        self.sha = sha1(self.source, usedforsecurity=False).hexdigest().encode()


class Command(NamedTuple):
    """A command for the server that has a shard.

    Attributes:
        shard: The shard of all its keys; any of them if one server has all shards.
        words: Its name and arguments; for a script, what follows the script: number of keys, keys, arguments.
        script: The script that it runs, if any.
    """

    shard: int
    words: Sequence[bytes]
    script: Script | None = None

    def packed(self) -> bytes:
        """Return the bytes to send. A script is named by its hash, which the server most likely knows."""
        return packed(self.words if self.script is None else [b"EVALSHA", self.script.sha, *self.words])

    def with_source(self) -> "Command":
        """Return the same command with the script's source, for a server that has forgotten the script."""
        return self if self.script is None else Command(self.shard, [b"EVAL", self.script.source, *self.words])


def packed(words: Sequence[bytes]) -> bytes:
    """Return a command in Redis' protocol, in a tenth of the time that the client library takes for such long ones."""
    return b"*%d\r\n%b" % (len(words), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))


def script_call(script: Script, shard: int, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Command:
    """Return a command that runs a script."""
    return Command(shard, [b"%d" % len(keys), *keys, *arguments], script)


COMPARE_AND_SWAP = Script("record", "compare_and_swap")
ADVANCE = Script("record", "compare_and_swap", keys_each=STEP_KEYS)
# Tombstones are shorter than what they replace, so a server that is out of memory must take them to get any back.
COMPARE_AND_TOMBSTONE = Script("record", "compare_and_swap", flags="allow-oom")
DELETE = Script("record", "delete", flags="allow-oom")
REBUILD_SHARD = Script("record", "rebuild_shard", flags="allow-oom")
READ_EACH = Script("read_each", flags="no-writes")
IS_OWNED = Script("is_owned", flags="no-writes")
DUE_OF = Script("due_of", flags="no-writes")
