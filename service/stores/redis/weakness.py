"""What may be lost with the configuration of a Redis server, in sentences for an operator.

The service promises that nothing acknowledged is lost. That takes an append-only file that is synced before each reply,
memory that is never reclaimed from sessions, and no replica that may be promoted without the last writes.
"""

from collections.abc import Mapping

from redis.exceptions import ResponseError

from service.stores.redis.link import Answered, Link, Reply

Facts = Mapping[str, str]


async def weaknesses_of(link: Link) -> list[str]:
    """Return the weaknesses of each server.

    Raises:
        Unavailable: A server does not reply.
    """
    infos = await link.ask_all(b"INFO", b"everything")
    settings = {each.address: each.reply for each in await link.ask_all(b"CONFIG", b"GET", b"appendfsync")}
    return [sentence for info in infos for sentence in _of_one(info, settings.get(info.address))]


def _of_one(info: Answered, settings: Reply) -> list[str]:
    if isinstance(info.reply, ResponseError):
        return [f"Redis at {info.address} does not tell how it is set up (INFO): what it may lose is not known."]
    facts = facts_of(info.reply)
    appendfsync = settings[1].decode() if isinstance(settings, list) and len(settings) == 2 else None
    found = [_of_role(facts), _of_file(facts, appendfsync), _of_memory(facts), _of_replicas(facts)]
    return [f"Redis at {info.address} {sentence}" for sentence in found if sentence]


def facts_of(content: bytes) -> Facts:
    """Return the facts in a reply to INFO."""
    lines = (line.partition(":") for line in content.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def is_replica(facts: Facts) -> bool:
    """Whether a server follows another one."""
    return facts.get("role") == "slave"


def _of_role(facts: Facts) -> str | None:
    if not is_replica(facts):
        return None
    return "has become a replica, which cannot be written to: nothing is opened or stepped (name its primary)."


def _of_file(facts: Facts, appendfsync: str | None) -> str | None:
    if facts.get("aof_enabled") != "1":
        return (
            "keeps no append-only file: when it stops, steps that were acknowledged since its last snapshot are lost, "
            "or all sessions (set appendonly yes and appendfsync always)."
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


def _of_memory(facts: Facts) -> str | None:
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return None
    return (
        f"drops keys when its memory is full (maxmemory-policy {policy}): sessions disappear as if they had never "
        "existed (set maxmemory-policy noeviction)."
    )


def _of_replicas(facts: Facts) -> str | None:
    if facts.get("connected_slaves", "0") == "0":
        return None
    return (
        f"has {facts['connected_slaves']} replica(s), which follow asynchronously: a failover loses the steps that had "
        "been acknowledged and had not reached the promoted one, mostly those of its last moments."
    )
