"""Commands for a Redis server, and the Lua scripts among them that it runs as one, without others in between."""

from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import NamedTuple

_DIRECTORY = Path(__file__).parent
ALL_KEYS = 6  # a record's, as record.lua has them
STEP_KEYS = 4


class Script:
    """A script as the server keeps it.

    Args:
        names: The files that it is put together from, in order.
        flags: What the server is to let it do, in the words of Redis 7: "allow-oom" for one that frees memory,
            "no-writes" for one that reads.
        keys_each: How many keys it has for each of the records that it writes.

    Attributes:
        keys_each: The same.
    """

    def __init__(self, *names: str, flags: str = "", keys_each: int = ALL_KEYS) -> None:
        parts = [(_DIRECTORY / f"{name}.lua").read_text() for name in names]
        self.keys_each = keys_each
        self.source = "".join([f"#!lua flags={flags}\nlocal KEYS_EACH = {keys_each}\n", *parts]).encode()
        self.sha = sha1(self.source, usedforsecurity=False).hexdigest().encode()


class Command(NamedTuple):
    """A command for the server that has a shard.

    Attributes:
        shard: Its keys are all of this one; any, where the server has all shards.
        words: Its name and arguments; of a script those after the script: number of keys, keys, arguments.
        script: The script that it runs, if it runs one.
    """

    shard: int
    words: Sequence[bytes]
    script: Script | None = None

    def packed(self) -> bytes:
        """The bytes to send, with the script by its name, which the server most likely knows."""
        return packed(self.words if self.script is None else [b"EVALSHA", self.script.sha, *self.words])

    def with_source(self) -> "Command":
        """The same for a server that may have forgotten the script."""
        return self if self.script is None else Command(self.shard, [b"EVAL", self.script.source, *self.words])


def packed(words: Sequence[bytes]) -> bytes:
    """A command in Redis' protocol. Takes a tenth of the client library's time for a command this long."""
    return b"*%d\r\n%b" % (len(words), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))


def script_call(script: Script, shard: int, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Command:
    """A command that runs a script."""
    return Command(shard, [b"%d" % len(keys), *keys, *arguments], script)


COMPARE_AND_SWAP = Script("record", "compare_and_swap")
ADVANCE = Script("record", "compare_and_swap", keys_each=STEP_KEYS)
# Tombstones are shorter than what they replace: a server without memory takes them, or it would never have any again.
COMPARE_AND_BURY = Script("record", "compare_and_swap", flags="allow-oom")
FORGET = Script("record", "forget", flags="allow-oom")
REFILE_SHARD = Script("record", "refile_shard", flags="allow-oom")
READ_EACH = Script("read_each", flags="no-writes")
IS_OWNED = Script("is_owned", flags="no-writes")
DUE_OF = Script("due_of", flags="no-writes")
