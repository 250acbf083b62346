"""Sessions on a Redis server or cluster, shared by the workers of many machines.

A record is one key, packed as in service.stores.packing. A script compares its step, writes it, and moves it in the
indexes of its shard (record.lua, shard.py); many records take one round trip. Keys have no time to live: Redis would
delete a record without its entries in indexes and counts, and by its own clock.

What may be lost depends on the server: nothing acknowledged with `appendonly yes`, `appendfsync always` and no
failover. Replication is asynchronous, so a promoted replica lacks what was acknowledged in the moments before. Then a
session is some steps behind, but intact: a client that sends step numbers gets a conflict. A session created in those
moments never existed, and one that ended in them lives. `inspect` reports what applies.

Needs Redis 7 or later, or Valkey.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from service.stores.base import (
    CHECKPOINT,
    SECONDS_PER_MINUTE,
    Count,
    Damaged,
    Full,
    Inspection,
    Record,
    Swap,
    SwapGroup,
    last_due_minute,
)
from service.stores.limits import Limits
from service.stores.packing import STEP, pack, unpack
from service.stores.redis.clock import ServerClock
from service.stores.redis.connection import Connection
from service.stores.redis.index import Index
from service.stores.redis.inspection import ServerLosses, parse_info, weaknesses_of
from service.stores.redis.link import pairs
from service.stores.redis.owner_counts import OwnerCounts
from service.stores.redis.quota import RedisQuota
from service.stores.redis.room import Room
from service.stores.redis.script import (
    ADVANCE,
    COMPARE_AND_SWAP,
    COMPARE_AND_TOMBSTONE,
    DELETE,
    Command,
    Script,
    script_call,
)
from service.stores.redis.shard import (
    NOTES,
    NOTES_SHARD,
    encoded,
    index_keys,
    record_key,
    shard_of,
    shard_of_key,
)

FEW_DUE = 128  # records to look at for those of all owners that are overdue
WON, UNDONE = map(ord, "1?")
_NO_TIME = (
    "Redis does not tell its time (TIME is not allowed): sessions expire too soon or too late where the clocks of the "
    "machines that share it are apart."
)


class RedisStore:
    """A Redis server or cluster behind the store contract. Connects at its first use.

    The limits are approximate: they may be exceeded by what all other processes create within a second (room.py).

    Args:
        url: redis:// or rediss:// with host, port, database, and optionally user and password. One server of a cluster
            stands for all of it.
        limits: How much it may hold.

    Raises:
        ValueError: The URL cannot be parsed.
    """

    backend = "redis"
    is_immediate = False
    is_moved = False

    def __init__(self, url: str, limits: Limits) -> None:
        self._clock = ServerClock()
        self._connection = Connection(url, self._clock)
        self._losses = ServerLosses()
        self._max_bytes = limits.max_bytes
        self._index = Index(self._connection)
        self._room = Room(self.count, limits.refusal)
        self._owners = OwnerCounts(self._index)
        self._quota = RedisQuota(limits, self._owners.count_of)

    @property
    def clock(self) -> Callable[[], float]:
        return self._clock

    async def load(self, session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        ids = [encoded(session_id) for session_id in session_ids]
        groups = await self._connection.groups([shard_of(each) for each in ids])
        commands = [Command(shard_of(ids[some[0]]), [b"MGET", *(record_key(ids[n]) for n in some)]) for some in groups]
        found = _in_order(groups, await self._connection.run(commands))
        return [
            None if content is None else unpack(session_id, content)
            for session_id, content in zip(session_ids, found, strict=True)
        ]

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        new = _new(swaps)
        try:
            return await self._open(swaps, new)
        except Full:
            found = await self.load(list(new))
            outdated = {each for each, stored in zip(new, found, strict=True) if _is_outdated(swaps, each, stored)}
            if not outdated:
                raise
            return await self._open(swaps, {each: record for each, record in new.items() if each not in outdated})

    async def advance(self, groups: Sequence[SwapGroup]) -> list[list[bool]]:
        won = iter(await self.swap([swap for group in groups for swap in group.swaps()]))
        return [list(islice(won, len(group.steps))) for group in groups]

    async def delete(self, session_ids: Sequence[str]) -> None:
        await self._change(DELETE, session_ids, [[b""]] * len(session_ids))

    async def delete_overdue(self, session_ids: Sequence[str], now: int) -> None:
        await self._change(DELETE, session_ids, [[b"%d" % last_due_minute(now)]] * len(session_ids))

    async def overdue(self, now: int, limit: int) -> list[Record]:
        return await self._first(
            lambda wanted: self._index.due(last_due_minute(now), wanted), limit, lambda record: record.expires_at <= now
        )

    async def overdue_of(self, owner: str | None, now: int, limit: int) -> list[Record]:
        minute = now // SECONDS_PER_MINUTE
        if owner is None:
            found = await self.load(await self._index.due(minute, FEW_DUE))
            return [each for each in found if isinstance(each, Record) and _is_overdue(each, now)][:limit]
        return await self._first(
            lambda wanted: self._index.due_of(owner, minute, wanted),
            limit,
            lambda record: record.owner == owner and _is_overdue(record, now),
        )

    async def idlest(self, limit: int) -> list[Record]:
        return await self._first(self._index.used, limit, lambda record: not record.ended)

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        return await self._first(
            lambda wanted: self._index.owned(owner, after, wanted),
            limit,
            lambda record: record.owner == owner and record.ended != CHECKPOINT,
        )

    async def count(self) -> Count:
        bundles, num_bytes = await self._index.counts()
        return Count(sum(bundles.values()), num_bytes)

    async def count_of(self, owner: str) -> int:
        return await self._owners.count_of(owner)

    async def bundles(self) -> dict[str, int]:
        bundles, _ = await self._index.counts()
        return bundles

    async def note(self, name: str, value: bytes | None) -> None:
        key = name.encode()
        words = [b"HDEL", NOTES, key] if value is None else [b"HSET", NOTES, key, value]
        await self._connection.run([Command(NOTES_SHARD, words)])

    async def note_once(self, name: str, value: bytes) -> bytes:
        key = name.encode()
        tell = Command(NOTES_SHARD, [b"HGET", NOTES, key])
        (kept,) = await self._connection.run([tell])  # a full server would refuse to store what it has
        if kept is None:
            keep = Command(NOTES_SHARD, [b"HSETNX", NOTES, key, value])
            _, kept = await self._connection.run([keep, tell])
        return value if kept is None else bytes(kept)

    async def notes(self, prefix: str) -> dict[str, bytes]:
        (reply,) = await self._connection.run([Command(NOTES_SHARD, [b"HGETALL", NOTES])])
        return {name.decode(): value for name, value in pairs(reply) if name.startswith(prefix.encode())}

    async def inspect(self) -> Inspection:
        """Set the clock right, and return what the servers tell of themselves. Raises Unavailable."""
        await self._connection.set_clock()
        replies = await self._connection.ask_all(b"INFO", b"everything")
        settings = await self._connection.ask_all(b"CONFIG", b"GET", b"appendfsync")
        infos = {address: parse_info(reply) for address, reply in replies.items()}
        weaknesses = weaknesses_of(infos, settings, self._max_bytes)
        if not self._clock.is_known:
            weaknesses.append(_NO_TIME)
        return Inspection(weaknesses, self._losses.look(infos), self._losses.num_evicted)

    async def close(self) -> None:
        await self._connection.close()

    async def _open(self, swaps: Sequence[Swap], new: Mapping[str, Record]) -> list[bool]:
        """Compare and swap records; `new` are those that may be new and live.

        Raises:
            QuotaReached: An owner would have more live records than allowed.
            Full: There is no room for the new ones.
        """
        if not new:
            return await self._swap(swaps)
        total = Count(len(new), sum(len(record.body) for record in new.values()))
        async with self._quota.opening(Counter(record.owner for record in new.values())), self._room.opening(total):
            return await self._swap(swaps)

    async def _swap(self, swaps: Sequence[Swap]) -> list[bool]:
        ids = [swap.record.session_id for swap in swaps]
        arguments = [[_step_bytes(swap), pack(swap.record)] for swap in swaps]
        won = await self._change(_script_of(swaps), ids, arguments)
        undone = [n for n, each in enumerate(won) if each == UNDONE]
        if undone:
            again = await self._change(COMPARE_AND_SWAP, [ids[n] for n in undone], [arguments[n] for n in undone])
            for n, each in zip(undone, again, strict=True):
                won[n] = each
        return [each == WON for each in won]

    async def _change(self, script: Script, session_ids: Sequence[str], arguments: Sequence[list[bytes]]) -> list[int]:
        """Run a script that writes, and return its answer for each record."""
        ids = [encoded(session_id) for session_id in session_ids]
        groups = await self._connection.groups([shard_of(each) for each in ids])
        calls = [_call(script, [ids[n] for n in group], [arguments[n] for n in group]) for group in groups]
        try:
            replies = await self._connection.run(calls)
        except BaseException:
            self._room.forget()
            raise
        for _, num_live, num_bytes, _ in replies:
            self._room.add(Count(num_live, num_bytes))
        await self._index.rebuild({shard_of_key(key) for *_, misindexed in replies for key in misindexed})
        return _in_order(groups, [won for won, *_ in replies])

    async def _first(
        self, find: Callable[[int], Awaitable[list[str]]], limit: int, is_wanted: Callable[[Record], bool]
    ) -> list[Record]:
        """Return the first records that an index has, without damaged ones and those changed since it was read."""
        wanted = limit
        while True:
            ids = await find(wanted)
            found = await self.load(ids)
            missing = {each for each, it in zip(ids, found, strict=True) if it is None}
            if missing:  # deleted since the index was read, unless the index still has them
                still_indexed = missing.intersection(await find(wanted))
                await self._index.rebuild({shard_of(encoded(each)) for each in still_indexed})
            records = [record for record in found if isinstance(record, Record) and is_wanted(record)]
            if len(records) >= limit or len(ids) < wanted:
                return records[:limit]
            wanted = limit + len(ids) - len(records)


def _is_overdue(record: Record, now: int) -> bool:
    return not record.ended and record.expires_at <= now


def _call(script: Script, ids: Sequence[bytes], arguments: Iterable[list[bytes]]) -> Command:
    num_indexes = script.keys_each - 1
    keys = [key for each in ids for key in (record_key(each), *index_keys(shard_of(each))[:num_indexes])]
    return script_call(script, shard_of(ids[0]), keys, [word for words in arguments for word in words])


def _step_bytes(swap: Swap) -> bytes:
    return b"" if swap.expected_step is None else STEP.pack(swap.expected_step)


def _script_of(swaps: Sequence[Swap]) -> Script:
    """Return the script for some swaps. ADVANCE answers UNDONE to one that looks like a step but is not.

    Such a swap changes the owner, or lets an ended record live again.
    """
    if all(swap.record.ended and not swap.record.body for swap in swaps):
        return COMPARE_AND_TOMBSTONE
    num_steps = len({swap.record.session_id for swap in swaps if swap.expected_step is not None})
    return ADVANCE if num_steps == len(swaps) and not any(swap.record.ended for swap in swaps) else COMPARE_AND_SWAP


def _new(swaps: Sequence[Swap]) -> dict[str, Record]:
    """Return the live records that swaps may create or reopen, by id, each as the last winning swap leaves it."""
    new: dict[str, Record] = {}
    for record, expected_step, is_opening in swaps:
        before = new.get(record.session_id)
        if is_opening or expected_step == (None if before is None else before.step):
            new[record.session_id] = record
    return {each: record for each, record in new.items() if not record.ended}


def _is_outdated(swaps: Sequence[Swap], session_id: str, stored: Record | Damaged | None) -> bool:
    """Return whether a record that may be new is not: the swap that would open it does not expect the stored step."""
    expected_step = next(
        swap.expected_step
        for swap in swaps
        if swap.record.session_id == session_id and (swap.is_opening or swap.expected_step is None)
    )
    return isinstance(stored, Damaged) or expected_step != (None if stored is None else stored.step)


def _in_order(groups: Sequence[Sequence[int]], replies: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the reply for each position, from the replies for groups of positions."""
    answers: dict[int, Any] = {}
    for group, reply in zip(groups, replies, strict=True):
        answers.update(zip(group, reply, strict=True))
    return [answers[n] for n in range(len(answers))]
