"""The contract of a session store: a few verbs over bytes. What a body means is for sessions to know.

Every verb takes many records at once, and each record stands for itself: one that is damaged, missing or raced for
never touches another. Times are whole wall-clock seconds since 1970.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

CHECKPOINT = "checkpoint"


class Record(NamedTuple):
    """One session as a store sees it.

    Attributes:
        session_id: Key of the record.
        owner: The owner, who alone may see it.
        bundle: Tag of the bundle version that it lives on; stores count live sessions by it.
        step: Number of the next step; a swap succeeds only against the step that was loaded.
        used_at: When it was last used.
        ttl_seconds: How long after `used_at` it is overdue.
        ended: Why it is over, "" while it lives, CHECKPOINT for a saved state, which is no session of its own.
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
        """When it is overdue: to expire while it lives, to be forgotten once it is over."""
        return self.used_at + self.ttl_seconds


class Damaged(NamedTuple):
    """What is stored under an id is not what was written."""

    session_id: str
    reason: str


class Swap(NamedTuple):
    """Write `record` if the stored step is `expected_step`, or if nothing is stored where that is None.

    Attributes:
        is_opening: Whether the record lives and what it replaces is over, so that it needs room as any new one.
    """

    record: Record
    expected_step: int | None
    is_opening: bool = False


class Successors(NamedTuple):
    """The next records of N different sessions, which differ in ids, steps, times to live and bodies only.

    Attributes:
        session_ids: N of them.
        steps: The numbers of their next steps; what is stored is to be one before.
        ttl_seconds: Of each.
        owner, bundle, used_at: Of all; see `Record`.
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
        """One of them, by itself."""
        step = self.steps[index]
        names = self.session_ids[index], self.owner, self.bundle
        body = self.heads[index].tobytes() + self.tails[index].tobytes()
        return Swap(Record(*names, step, self.used_at, self.ttl_seconds[index], "", body), step - 1)

    def swaps(self) -> list[Swap]:
        """All of them, one by one."""
        return [self.swap(index) for index in range(len(self.session_ids))]


class Count(NamedTuple):
    """Live sessions, and the bytes of the bodies of all records, checkpoints included."""

    num_live: int
    num_bytes: int

    def plus(self, other: "Count") -> "Count":
        """Both together."""
        return Count(self.num_live + other.num_live, self.num_bytes + other.num_bytes)

    def minus(self, other: "Count") -> "Count":
        """What there is without the other."""
        return Count(self.num_live - other.num_live, self.num_bytes - other.num_bytes)


class Full(Exception):
    """No room for another live record: as many as are allowed, or as many bytes; nothing was written."""


class QuotaReached(Full):
    """No room for another live record of that owner, however much there is for others; nothing was written.

    Attributes:
        num_live: How many of the owner's live.
        most: How many may.
    """

    def __init__(self, num_live: int, most: int) -> None:
        super().__init__(f"{num_live} of {most} sessions of one owner live")
        self.num_live = num_live
        self.most = most


class Unavailable(Exception):
    """The store cannot be used now: its server does not answer, its disk is full. No record was harmed."""


class Store(Protocol):
    """Records by id.

    Every verb may raise Unavailable. After that a write may or may not have happened, but never in part of a record.
    """

    @property
    def backend(self) -> str:
        """Name of the backend, a metric's label."""

    @property
    def is_immediate(self) -> bool:
        """Whether load and swap answer without waiting, so that they need no task of their own."""

    @property
    def is_lost(self) -> bool:
        """Whether others would open another store now. Then nothing is read or written until that changes."""

    async def load(self, session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        """The records of those ids, in order. None for an id without one, whatever the id looks like."""

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        """Compare and swap each record, in order.

        Returns:
            For each swap whether it was written: not if another writer was first or the stored record is damaged.

        Raises:
            QuotaReached: An owner would have more live records than allowed, whether or not the store is full too.
            Full: There is no room for the new live records.
        """

    async def advance(self, groups: Sequence[Successors]) -> list[list[bool]]:
        """Compare and swap the records of all groups as one `swap` does. No two groups have a session in common."""

    async def delete(self, session_ids: Sequence[str]) -> None:
        """Delete records, damaged ones too."""

    async def delete_overdue(self, session_ids: Sequence[str], now: int) -> None:
        """Delete those of some records that are over and overdue. Others were written since they were looked at."""

    async def overdue(self, now: int, limit: int) -> list[Record]:
        """Records of all kinds that are overdue, found at most a minute late."""

    async def overdue_of(self, owner: str, now: int, limit: int) -> list[Record]:
        """Live records of an owner's that are overdue, to the second: all that are found with little effort."""

    async def idlest(self, limit: int) -> list[Record]:
        """Live records, the least recently used first, to the minute."""

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        """An owner's records but checkpoints, by a fixed order of their ids, from the one that follows `after` on.

        `after` is the last id of the page before, "" for the first page; it need not exist any more.
        """

    async def count(self) -> Count:
        """How much there is, without a scan."""

    async def count_of(self, owner: str) -> int:
        """How many sessions of an owner's live, without a scan."""

    async def bundles(self) -> dict[str, int]:
        """How many sessions live on each bundle version, where any do."""

    async def note(self, name: str, value: bytes | None) -> None:
        """Keep a small value beside the records, for all processes that share the store. None deletes it."""

    async def note_once(self, name: str, value: bytes) -> bytes:
        """Keep a value unless one is kept already. Returns the one that is kept."""

    async def notes(self, prefix: str) -> dict[str, bytes]:
        """All notes whose names begin with a prefix, by name."""

    async def weaknesses(self) -> list[str]:
        """Sentences for the log on what acknowledged data this store, as it is configured, may lose."""

    async def close(self) -> None:
        """Let go of files and connections."""
