"""The contract of a session store: a few methods over bytes. Only sessions know what a body means.

Most methods take many records at once. Records are independent: one that is damaged, missing or contended never affects
another. Times are whole wall-clock seconds since 1970.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

CHECKPOINT = "checkpoint"
SECONDS_PER_MINUTE = 60  # stores index records by whole minutes since 1970


class Record(NamedTuple):
    """One session as a store sees it.

    Attributes:
        session_id: Key of the record.
        owner: The owner, who alone may see it.
        bundle: Tag of its bundle version; stores count live sessions by it.
        step: Number of the next step; a swap succeeds only against the step that was loaded.
        used_at: When it was last used, rounded up so that it never expires early.
        ttl_seconds: How long after `used_at` it is overdue.
        ended: Why it is over; "" while it lives; CHECKPOINT for a saved state, which is not a session itself.
        body: The encoded session; empty once it is over.
    """

    session_id: str
    owner: str
    bundle: str
    step: int
    used_at: int
    ttl_seconds: int
    ended: str = ""
    body: bytes = b""

    @property
    def expires_at(self) -> int:
        """When it is overdue: a live record then expires, one that is over is deleted."""
        return self.used_at + self.ttl_seconds


class Damaged(NamedTuple):
    """What is stored under an id differs from what was written."""

    session_id: str
    reason: str


class Swap(NamedTuple):
    """Write `record` if the stored step is `expected_step`; None expects that nothing is stored.

    Attributes:
        is_opening: Whether a live record replaces one that is over, so that it needs room like a new one.
    """

    record: Record
    expected_step: int | None
    is_opening: bool = False


class SwapGroup(NamedTuple):
    """The next records of N different sessions, which differ only in ids, steps, times to live and bodies.

    Attributes:
        session_ids: The N sessions.
        steps: Numbers of their next steps; the stored steps must be one less.
        ttl_seconds: Time to live of each.
        owner, bundle, used_at: The same for all; see `Record`.
        heads, tails: The bodies, in two parts: uint8 (N, H) and (N, R).
    """

    session_ids: Sequence[str]
    steps: Sequence[int]
    ttl_seconds: Sequence[int]
    owner: str
    bundle: str
    used_at: int
    heads: NDArray[np.uint8]
    tails: NDArray[np.uint8]

    def swap(self, index: int) -> Swap:
        """Return the swap of one record."""
        step = self.steps[index]
        names = self.session_ids[index], self.owner, self.bundle
        body = self.heads[index].tobytes() + self.tails[index].tobytes()
        return Swap(Record(*names, step, self.used_at, self.ttl_seconds[index], "", body), step - 1)

    def swaps(self) -> list[Swap]:
        """Return the swaps of all records."""
        return [self.swap(index) for index in range(len(self.session_ids))]


class Count(NamedTuple):
    """The number of live sessions, and of bytes in the bodies of all records, including checkpoints."""

    num_live: int
    num_bytes: int

    def plus(self, other: "Count") -> "Count":
        """Return the sum of both."""
        return Count(self.num_live + other.num_live, self.num_bytes + other.num_bytes)

    def minus(self, other: "Count") -> "Count":
        """Return the difference."""
        return Count(self.num_live - other.num_live, self.num_bytes - other.num_bytes)


class Inspection(NamedTuple):
    """What an operator should know about a store, as far as it can tell. Sentences are for the log.

    Attributes:
        weaknesses: Sentences about the acknowledged data that the store, as configured, may lose.
        losses: Sentences about what was lost since the last inspection.
        num_evicted: Keys that it has evicted for lack of memory since it was started, whoever's they were.
    """

    weaknesses: Sequence[str] = ()
    losses: Sequence[str] = ()
    num_evicted: int = 0


def last_due_minute(now: int) -> int:
    """Return the last minute that has begun its 60th second, so that everything due in it is due by now."""
    return (now + 1) // SECONDS_PER_MINUTE - 1


class Full(Exception):
    """No room for another live record: the number of records or of bytes is at its limit; nothing was written."""


class QuotaReached(Full):
    """The owner has as many live records as allowed, however much room there is for others; nothing was written.

    Attributes:
        num_live: The owner's number of live records.
        max_sessions: The largest number allowed.
    """

    def __init__(self, num_live: int, max_sessions: int) -> None:
        super().__init__(f"{num_live} of {max_sessions} sessions of one owner live")
        self.num_live = num_live
        self.max_sessions = max_sessions


class Unavailable(Exception):
    """The store cannot be used now: its server does not answer, its disk is full. No record was damaged."""


class Store(Protocol):
    """Records by id.

    Every method may raise Unavailable. A write may or may not have happened then, but no record is written in part.
    """

    @property
    def backend(self) -> str:
        """Name of the backend, a metric label."""

    @property
    def clock(self) -> Callable[[], float]:
        """Wall-clock seconds since 1970, by a clock that all processes share which share the store."""

    @property
    def is_immediate(self) -> bool:
        """Whether load and swap answer without waiting, so that they need no task of their own."""

    @property
    def is_moved(self) -> bool:
        """Whether others would open another store now. Then nothing is read or written until that changes."""

    async def load(self, session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        """Return the records of these ids, in order; None for an id without one, whatever the id looks like."""

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        """Compare and swap each record, in order.

        Returns:
            Whether each was written: not if another writer was first or the stored record is damaged.

        Raises:
            QuotaReached: An owner would have more live records than allowed, even if the store is also full.
            Full: There is no room for the new live records.
        """

    async def advance(self, groups: Sequence[SwapGroup]) -> list[list[bool]]:
        """Compare and swap the records of all groups, as one `swap` would. No two groups share a session."""

    async def delete(self, session_ids: Sequence[str]) -> None:
        """Delete records, including damaged ones."""

    async def delete_overdue(self, session_ids: Sequence[str], now: int) -> None:
        """Delete those of these records that are over and overdue. The others were written since they were read."""

    async def overdue(self, now: int, limit: int) -> list[Record]:
        """Return overdue records of all kinds. They are found at most a minute late."""

    async def overdue_of(self, owner: str | None, now: int, limit: int) -> list[Record]:
        """Return overdue live records, accurate to the second, but only those that are cheap to find.

        Those of one owner, or of all if that is None.
        """

    async def idlest(self, limit: int) -> list[Record]:
        """Return live records, the least recently used first, accurate to the minute."""

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        """Return an owner's records, except checkpoints, in a fixed order of their ids, beginning after `after`.

        `after` is the last id of the previous page, "" for the first page; it need not exist any more.
        """

    async def count(self) -> Count:
        """Return how much there is, without a scan."""

    async def count_of(self, owner: str) -> int:
        """Return an owner's number of live sessions, without a scan."""

    async def bundles(self) -> dict[str, int]:
        """Return the number of live sessions on each bundle version that has any."""

    async def note(self, name: str, value: bytes | None) -> None:
        """Store a small value beside the records, for all processes that share the store. None deletes it."""

    async def note_once(self, name: str, value: bytes) -> bytes:
        """Store a value unless one is stored already, and return the stored one."""

    async def notes(self, prefix: str) -> dict[str, bytes]:
        """Return all notes whose names begin with a prefix, by name."""

    async def inspect(self) -> Inspection:
        """Return what the store may lose as it is configured, and what it has lost since the last inspection."""

    async def close(self) -> None:
        """Close files and connections."""
