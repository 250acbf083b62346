"""Sessions on a Redis server or cluster, shared by the workers of many machines.

A record is one key, in the form of service.stores.packing. A script compares its step, writes it, and moves it in the
indexes of its shard (record.lua, redis_shard.py); many records are one round trip. Keys have no time to live: Redis
would delete a record without its entries in indexes and counts, and by its own clock.

What may be lost is the server's to decide: with `appendonly yes`, `appendfsync always` and no failover nothing that was
acknowledged. A replica follows asynchronously, so one that is promoted lacks what was acknowledged in the moments before:
such a session is a step or more behind, whole and consistent, and a client that names its step number is told of the
conflict; a session that was created in those moments never existed. `weaknesses` tells what applies.

Takes Redis 7 or later, or Valkey.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from service.stores.base import CHECKPOINT, Count, Damaged, Full, Record, Swap, Unavailable
from service.stores.packing import STEP, pack, unpack
from service.stores.redis_cluster import ClusterLink
from service.stores.redis_link import Link, Reply, ServerLink, address_of
from service.stores.redis_room import Room
from service.stores.redis_script import (
    COMPARE_AND_BURY,
    COMPARE_AND_SWAP,
    FORGET,
    READ_EACH,
    REFILE_SHARD,
    Command,
    Script,
    script_call,
)
from service.stores.redis_shard import (
    ALL_SHARDS,
    COUNTS,
    DUE,
    NOTES,
    NOTES_SHARD,
    OWNERS,
    USE,
    encoded,
    first,
    index_keys,
    owner_prefix,
    prefix_of,
    record_key,
    shard_of,
    shard_of_key,
)
from service.stores.redis_weakness import facts_of, weaknesses_of

MAX_RECORDS_A_CALL = 128
OLDEST_REDIS = 7
SECONDS_PER_MINUTE = 60


class RedisStore:
    """A Redis server or cluster behind the store contract. Connects at the first use.

    The limits hold nearly: they may be exceeded by what all other processes create within a second (redis_room.py).

    Args:
        url: redis:// or rediss:// with host, port, database, and if need be user and password. One server of a cluster
            stands for all of it.
        max_sessions: Live sessions that find room.
        max_bytes: Bytes of bodies beyond which no new session finds room.

    Raises:
        ValueError: The URL cannot be understood.
    """

    backend = "redis"

    def __init__(self, url: str, max_sessions: int, max_bytes: int) -> None:
        self._url = url
        self._address = address_of(url)
        self._room = Room(max_sessions, max_bytes)
        self._link: Link | None = None
        self._opening = asyncio.Lock()

    async def load(self, session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        ids = [encoded(session_id) for session_id in session_ids]
        groups = await self._groups([shard_of(each) for each in ids])
        commands = [
            Command(shard_of(ids[group[0]]), [b"MGET", *(record_key(ids[n]) for n in group)]) for group in groups
        ]
        found = _in_order(groups, await self._run(commands))
        return [
            None if content is None else unpack(session_id, content)
            for session_id, content in zip(session_ids, found, strict=True)
        ]

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        contents = [pack(swap.record) for swap in swaps]
        reserved = await self._reserve(swaps)
        frees_memory = all(swap.record.ended and not swap.record.body for swap in swaps)
        script = COMPARE_AND_BURY if frees_memory else COMPARE_AND_SWAP
        arguments = [[_step_bytes(swap), content] for swap, content in zip(swaps, contents, strict=True)]
        won = await self._change(script, [swap.record.session_id for swap in swaps], arguments, reserved)
        return [each == ord("1") for each in won]

    async def delete(self, session_ids: Sequence[str]) -> None:
        await self._change(FORGET, session_ids, [[]] * len(session_ids), Count(0, 0))

    async def overdue(self, now: int, limit: int) -> list[Record]:
        last_minute = (now + 1) // SECONDS_PER_MINUTE - 1

        async def find(wanted: int) -> list[str]:
            return await self._first_by_score(DUE, b"%d" % last_minute, wanted)

        return await self._records(find, limit, lambda record: record.expires_at <= now)

    async def idlest(self, limit: int) -> list[Record]:
        async def find(wanted: int) -> list[str]:
            return await self._first_by_score(USE, b"+inf", wanted)

        return await self._records(find, limit, lambda record: not record.ended)

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        async def find(wanted: int) -> list[str]:
            return await self._first_of_owner(owner, after, wanted)

        return await self._records(find, limit, lambda record: record.owner == owner and record.ended != CHECKPOINT)

    async def count(self) -> Count:
        counts = await self._counts()
        return Count(sum(n for name, n in counts.items() if name != b"bytes"), counts.get(b"bytes", 0))

    async def bundles(self) -> dict[str, int]:
        return {name[1:].decode(): n for name, n in (await self._counts()).items() if name != b"bytes"}

    async def note(self, name: str, value: bytes | None) -> None:
        words = [b"HDEL", NOTES, name.encode()] if value is None else [b"HSET", NOTES, name.encode(), value]
        await self._run([Command(NOTES_SHARD, words)])

    async def note_once(self, name: str, value: bytes) -> bytes:
        key = name.encode()
        keep = Command(NOTES_SHARD, [b"HSETNX", NOTES, key, value])
        _, kept = await self._run([keep, Command(NOTES_SHARD, [b"HGET", NOTES, key])])
        return value if kept is None else bytes(kept)

    async def notes(self, prefix: str) -> dict[str, bytes]:
        (reply,) = await self._run([Command(NOTES_SHARD, [b"HGETALL", NOTES])])
        return {name.decode(): value for name, value in _pairs(reply) if name.startswith(prefix.encode())}

    async def weaknesses(self) -> list[str]:
        """What the servers' configuration may lose, a sentence each."""
        return await weaknesses_of(await self._linked())

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _linked(self) -> Link:
        if self._link is None:
            async with self._opening:
                if self._link is None:
                    self._link = await open_link(self._url)
        return self._link

    async def _run(self, commands: Sequence[Command]) -> list[Reply]:
        return await (await self._linked()).run(commands) if commands else []

    async def _groups(self, shards: Sequence[int]) -> list[list[int]]:
        """Positions, those together whose records one command may have: few, so that other clients need not wait."""
        by_server: defaultdict[int, list[int]] = defaultdict(list)
        is_sharded = (await self._linked()).is_sharded
        for n, shard in enumerate(shards):
            by_server[shard if is_sharded else 0].append(n)
        return [
            group[at : at + MAX_RECORDS_A_CALL]
            for group in by_server.values()
            for at in range(0, len(group), MAX_RECORDS_A_CALL)
        ]

    async def _change(
        self, script: Script, session_ids: Sequence[str], arguments: Sequence[list[bytes]], reserved: Count
    ) -> bytes:
        """Run a script that writes; what it says of each record."""
        ids = [encoded(session_id) for session_id in session_ids]
        groups = await self._groups([shard_of(each) for each in ids])
        commands = [_change_of(script, [ids[n] for n in group], [arguments[n] for n in group]) for group in groups]
        try:
            replies = await self._run(commands)
        except BaseException:
            self._room.forget()
            raise
        for _, num_live, num_bytes, _ in replies:
            self._room.add(num_live, num_bytes)
        self._room.add(-reserved.num_live, -reserved.num_bytes)
        await self._refile({shard_of_key(key) for *_, astray in replies for key in astray})
        return bytes(_in_order(groups, [reply[0] for reply in replies if reply[0]])) if replies else b""

    async def _reserve(self, swaps: Sequence[Swap]) -> Count:
        """Make sure of room for the new live records among some, and count them in.

        Raises:
            Full: There is none.
        """
        new = {
            swap.record.session_id: len(swap.record.body)
            for swap in swaps
            if swap.expected_step is None and not swap.record.ended
        }
        if not new:
            return Count(0, 0)
        if self._room.is_stale(time.monotonic()):
            self._room.learn(await self.count(), time.monotonic())
        if self._room.refusal(len(new), sum(new.values())):
            stored = await self.load(list(new))
            new = {each: size for (each, size), found in zip(new.items(), stored, strict=True) if found is None}
            self._room.learn(await self.count(), time.monotonic())
            refusal = self._room.refusal(len(new), sum(new.values())) if new else None
            if refusal:
                raise Full(refusal)
        reserved = Count(len(new), sum(new.values()))
        self._room.add(*reserved)
        return reserved

    async def _refile(self, shards: Iterable[int]) -> None:
        """File the records of some shards again, where an entry was found without its record or the other way round."""
        await self._run([script_call(REFILE_SHARD, each, index_keys(each), [prefix_of(each)]) for each in shards])

    async def _records(
        self, find: Callable[[int], Awaitable[list[str]]], limit: int, is_wanted: Callable[[Record], bool]
    ) -> list[Record]:
        """The first records that an index has, but those that are damaged or have changed since."""
        wanted = limit
        while True:
            ids = await find(wanted)
            found = await self.load(ids)
            await self._refile({shard_of(encoded(each)) for each, it in zip(ids, found, strict=True) if it is None})
            records = [record for record in found if isinstance(record, Record) and is_wanted(record)]
            if len(records) >= limit or len(ids) < wanted:
                return records[:limit]
            wanted = limit + len(ids) - len(records)

    async def _first_by_score(self, index: Sequence[bytes], last: bytes, limit: int) -> list[str]:
        async def read(shards: Sequence[int], size: int) -> list[list[tuple[int, bytes]]]:
            words = [b"ZRANGE", b"-inf", last, b"BYSCORE", b"LIMIT", b"0", b"%d" % size, b"WITHSCORES"]
            replies = await self._read_each(index, shards, words)
            return [[(int(score), member) for member, score in _pairs(reply)] for reply in replies]

        return [member.decode() for _, member in await first(read, limit)]

    async def _first_of_owner(self, owner: str, after: str, limit: int) -> list[str]:
        prefix = owner_prefix(owner)

        async def read(shards: Sequence[int], size: int) -> list[list[bytes]]:
            begin, end = b"(" + prefix + encoded(after), b"(" + prefix + b"\xff"
            return await self._read_each(
                OWNERS, shards, [b"ZRANGE", begin, end, b"BYLEX", b"LIMIT", b"0", b"%d" % size]
            )

        return [member[len(prefix) :].decode() for member in await first(read, limit)] if prefix else []

    async def _counts(self) -> dict[bytes, int]:
        counts: defaultdict[bytes, int] = defaultdict(int)
        for reply in await self._read_each(COUNTS, ALL_SHARDS, [b"HGETALL"]):
            for name, value in _pairs(reply):
                counts[name] += int(value)
        return dict(counts)

    async def _read_each(self, keys: Sequence[bytes], shards: Sequence[int], words: list[bytes]) -> list[Any]:
        """What a reading command answers for a key of each of some shards."""
        groups = [list(shards)] if not (await self._linked()).is_sharded else [[shard] for shard in shards]
        commands = [script_call(READ_EACH, group[0], [keys[shard] for shard in group], words) for group in groups]
        return [answer for reply in await self._run(commands) for answer in reply]


async def open_link(url: str) -> Link:
    """The way to what a URL names, which is asked whether it is a cluster.

    Raises:
        Unavailable: It does not answer, or is too old.
    """
    link = ServerLink(url)
    try:
        ((address, reply),) = await link.ask_all(b"INFO", b"everything")
        facts = facts_of(reply) if isinstance(reply, bytes) else {}
        version = facts.get("redis_version", str(OLDEST_REDIS))
        if int(version.partition(".")[0]) < OLDEST_REDIS:
            raise Unavailable(f"Redis at {address} is of version {version}; sessions need {OLDEST_REDIS} or later")
    except BaseException:
        await link.close()
        raise
    if facts.get("cluster_enabled") != "1":
        return link
    await link.close()
    return ClusterLink(url)


def _change_of(script: Script, ids: Sequence[bytes], arguments: Iterable[list[bytes]]) -> Command:
    keys = [key for each in ids for key in (record_key(each), *index_keys(shard_of(each)))]
    return script_call(script, shard_of(ids[0]), keys, [word for words in arguments for word in words])


def _step_bytes(swap: Swap) -> bytes:
    return b"" if swap.expected_step is None else STEP.pack(swap.expected_step)


def _in_order(groups: Sequence[Sequence[int]], replies: Sequence[Sequence[Any]]) -> list[Any]:
    """What was answered for each position, from what was answered for groups of them."""
    answers = {
        n: answer for group, reply in zip(groups, replies, strict=True) for n, answer in zip(group, reply, strict=True)
    }
    return [answers[n] for n in range(len(answers))]


def _pairs(reply: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(reply[::2], reply[1::2], strict=True)
