"""What Redis servers have lost since they were last looked at, as far as they tell, in sentences for an operator."""

from collections.abc import Mapping
from typing import NamedTuple

_FLUSHES = ("cmdstat_flushall", "cmdstat_flushdb")


class _Seen(NamedTuple):
    """A server at a look.

    Attributes:
        run_id: Another one after each of its starts.
        num_evicted: Keys that it has evicted since its start.
        num_flushes: How often it was told to empty a database since its start.
    """

    run_id: str
    num_evicted: int
    num_flushes: int


class ServerLosses:
    """Compares each server with what it was at the last look. Nothing is known of the time before the first."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def look(self, servers: Mapping[str, Mapping[str, str]]) -> list[str]:
        """The losses since the last look.

        Args:
            servers: What each server that answers says of itself (INFO), by its address.
        """
        told = []
        for address, facts in servers.items():
            seen, before = _seen(facts), self._seen.get(address)
            self._seen[address] = seen
            if before is not None:
                told += [f"Redis at {address} {sentence}" for sentence in _news(before, seen)]
        return told

    @property
    def num_evicted(self) -> int:
        """Keys that the servers have evicted since their starts."""
        return sum(seen.num_evicted for seen in self._seen.values())


def _news(before: _Seen, seen: _Seen) -> list[str]:
    if seen.run_id != before.run_id:
        return ["was restarted, or is another server now: sessions are lost that its append-only file did not have."]
    news = []
    if seen.num_evicted > before.num_evicted:
        num_new = seen.num_evicted - before.num_evicted
        news.append(
            f"has evicted {num_new} keys for lack of memory: if they were sessions, those are lost, and answered as if "
            "they had never existed (set maxmemory-policy noeviction)."
        )
    if seen.num_flushes > before.num_flushes:
        news.append("was told to empty a database (FLUSHALL, FLUSHDB): if it was this one, all sessions are lost.")
    return news


def _seen(facts: Mapping[str, str]) -> _Seen:
    num_flushes = sum(_calls(facts.get(name, "")) for name in _FLUSHES)
    return _Seen(facts.get("run_id", ""), int(facts.get("evicted_keys", 0)), num_flushes)


def _calls(statistics: str) -> int:
    """The first of a command's statistics: calls=1,usec=7,..."""
    return int(statistics.partition(",")[0].removeprefix("calls=") or 0)
