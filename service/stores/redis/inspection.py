"""What Redis servers tell of themselves: what their configuration may lose, and what they have lost, in sentences.

The service promises that nothing acknowledged is lost. That takes an append-only file that is synced before each reply,
memory that is never reclaimed from sessions, and no replica that may be promoted without the last writes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from service.stores.redis.link import Reply

Info = Mapping[str, str]
"""A server's reply to INFO: values by name."""

BYTES_PER_STATE_BYTE = 1.3
"""The memory that a server needs for each byte of state; 1.2 with large states, 1.8 with those of 600 bytes."""

FILE_IS_COMPLETE = "aof_enabled:1, aof_rewrite_in_progress:0, aof_rewrite_scheduled:0 and aof_last_bgrewrite_status:ok"
"""What INFO says of an append-only file that a restart may rely on."""

_FLUSHES = ("cmdstat_flushall", "cmdstat_flushdb")


def parse_info(reply: Reply) -> Info | None:
    """Return what a server replies to INFO, or None if it refuses to."""
    if not isinstance(reply, bytes):
        return None
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def is_replica(info: Info) -> bool:
    """Whether a server follows another one."""
    return info.get("role") == "slave"


def weaknesses_of(infos: Mapping[str, Info | None], settings: Mapping[str, Reply], max_store_bytes: int) -> list[str]:
    """Return what may be lost or refused with the configuration of the servers, a sentence each.

    Args:
        infos: What each server says of itself, by its address; None for one that refuses to.
        settings: Each server's reply to CONFIG GET appendfsync, by its address.
        max_store_bytes: How many bytes of state they may hold together.
    """
    found = [sentence for address, info in infos.items() for sentence in _of_one(address, info, settings.get(address))]
    known = [info for info in infos.values() if info is not None]
    too_small = _of_size(known, max_store_bytes) if len(known) == len(infos) else None
    return [*found, too_small] if too_small else found


def _of_one(address: str, info: Info | None, setting: Reply) -> list[str]:
    if info is None:
        return [f"Redis at {address} does not tell how it is set up (INFO): what it may lose is not known."]
    appendfsync = setting[1].decode() if isinstance(setting, list) and len(setting) == 2 else None
    found = [_of_role(info), _of_file(info, appendfsync), _of_eviction(info), _of_replicas(info)]
    return [f"Redis at {address} {sentence}" for sentence in found if sentence]


def _of_role(info: Info) -> str | None:
    if not is_replica(info):
        return None
    return "has become a replica, which cannot be written to: nothing is opened or stepped (name its primary)."


def _of_file(info: Info, appendfsync: str | None) -> str | None:
    if info.get("aof_enabled") != "1":
        return (
            "keeps no append-only file: when it stops, steps that were acknowledged since its last snapshot are lost, "
            "or all sessions (while it runs, CONFIG SET appendfsync always and CONFIG SET appendonly yes, and CONFIG "
            f"REWRITE once INFO says {FILE_IS_COMPLETE}; a restart with the setting alone begins empty)."
        )
    if not _is_file_complete(info):
        return (
            "has not completed a rewrite of its append-only file: if that was turned on while it ran, "
            "it is not complete yet, and a restart loses sessions (CONFIG REWRITE or restart it only once INFO says "
            f"{FILE_IS_COMPLETE})."
        )
    if appendfsync is None:
        return (
            "does not tell how its append-only file is synced (CONFIG is not allowed): whether acknowledged steps "
            "outlive a crash of its machine could not be checked."
        )
    if appendfsync != "always":
        return (
            f"syncs its append-only file with appendfsync {appendfsync}: a crash of its machine loses the steps of the "
            "last second or more (set appendfsync always)."
        )
    return None


def _is_file_complete(info: Info) -> bool:
    """Whether no rewrite has failed, and none is due or running while there is no file from an earlier one."""
    is_rewritten = "1" in (info.get("aof_rewrite_scheduled"), info.get("aof_rewrite_in_progress"))
    is_first = info.get("aof_base_size") == "0"
    return info.get("aof_last_bgrewrite_status", "ok") == "ok" and not (is_rewritten and is_first)


def _of_eviction(info: Info) -> str | None:
    policy = info.get("maxmemory_policy", "noeviction")
    if not policy.startswith("allkeys-"):  # the others drop only keys with a time to live, which records do not have
        return None
    return (
        f"drops keys when its memory is full (maxmemory-policy {policy}): sessions disappear as if they had never "
        "existed (set maxmemory-policy noeviction)."
    )


def _of_size(infos: Sequence[Info], max_store_bytes: int) -> str | None:
    """Return whether servers may be full too soon: shards are spread evenly, so the smallest is full first."""
    smallest = min((size for info in infos if (size := int(info.get("maxmemory", 0)))), default=None)
    needed = int(BYTES_PER_STATE_BYTE * max_store_bytes)
    if smallest is None or smallest * len(infos) >= needed or any(map(_of_eviction, infos)):
        return None
    on, all_of_it = (
        (f" on the smallest of {len(infos)} servers", f", times {len(infos)}") if len(infos) > 1 else ("", "")
    )
    return (
        f"Redis may be full before it holds UNROLLED_MAX_STORE_BYTES ({max_store_bytes}): maxmemory is {smallest}{on}, "
        f"and they take {needed} or more. Then all sessions and steps are refused, since none is evicted to make room "
        f"(set UNROLLED_MAX_STORE_BYTES to two thirds of that maxmemory{all_of_it})."
    )


def _of_replicas(info: Info) -> str | None:
    if info.get("connected_slaves", "0") == "0":
        return None
    return (
        f"has {info['connected_slaves']} replica(s), which follow asynchronously: a failover loses the steps that had "
        "been acknowledged and had not reached the promoted one, mostly those of its last moments."
    )


class _Seen(NamedTuple):
    """A server at an inspection.

    Attributes:
        run_id: Another one after each of its starts.
        history: Names the history of its data, which its replicas share (master_replid).
        former: The history that it had as a replica, before it was promoted (master_replid2).
        num_evicted: Keys that it has evicted since its start.
        num_flushes: How often it was told to empty a database since its start.
    """

    run_id: str
    history: str
    former: str
    num_evicted: int
    num_flushes: int


class ServerLosses:
    """Compares each server with what it was at the last inspection. Nothing is known of the time before the first."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def look(self, infos: Mapping[str, Info | None]) -> list[str]:
        """Return what was lost since the last inspection, a sentence each.

        Args:
            infos: What each server says of itself, by its address; None for one that refuses to.
        """
        seen = {address: _seen(info) for address, info in infos.items() if info is not None}
        before, self._seen = self._seen, {**self._seen, **seen}
        losses: list[str] = []
        for address, server in seen.items():
            found = _of_failover(address, server, before, seen)
            if address in before and not (found and server.run_id != before[address].run_id):
                found += _losses_between(before[address], server)
            losses += [f"Redis at {address} {sentence}" for sentence in found]
        return losses

    @property
    def num_evicted(self) -> int:
        """Keys that the servers have evicted since their starts."""
        return sum(seen.num_evicted for seen in self._seen.values())


def _of_failover(address: str, server: _Seen, before: Mapping[str, _Seen], seen: Mapping[str, _Seen]) -> list[str]:
    """Return whose data a server has inherited since it was `before`, unless that one is still `seen` with it."""
    if address in before and before[address].former == server.former:
        return []
    return [
        f"holds the data of {other} now: steps that were acknowledged before may be lost."
        for other, former in before.items()
        if other != address and former.history == server.former
        if other not in seen or seen[other].history != former.history
    ]


def _losses_between(before: _Seen, seen: _Seen) -> list[str]:
    if seen.run_id != before.run_id:
        return ["was restarted, or is another server now: sessions are lost that its append-only file did not have."]
    losses = []
    if seen.num_evicted > before.num_evicted:
        num_new = seen.num_evicted - before.num_evicted
        losses.append(
            f"has evicted {num_new} keys for lack of memory: if they were sessions, those are lost, and answered as if "
            "they had never existed (set maxmemory-policy noeviction)."
        )
    if seen.num_flushes > before.num_flushes:
        losses.append("was told to empty a database (FLUSHALL, FLUSHDB): if it was this one, all sessions are lost.")
    return losses


def _seen(info: Info) -> _Seen:
    num_flushes = sum(_calls(info.get(name, "")) for name in _FLUSHES)
    history, former = info.get("master_replid", ""), info.get("master_replid2", "none")
    return _Seen(info.get("run_id", ""), history, former, int(info.get("evicted_keys", 0)), num_flushes)


def _calls(statistics: str) -> int:
    """Return the first of a command's statistics: calls=1,usec=7,..."""
    return int(statistics.partition(",")[0].removeprefix("calls=") or 0)
