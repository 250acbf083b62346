"""The contract of a session store: a few verbs over bytes. What a record means is for codec and sessions to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Record:
    """One session as a store sees it.

    Attributes:
        session_id: Key of the record.
        owner: Who may see it.
        step: Number of the next step; a swap succeeds only against the step that was loaded.
        expires_at: Wall-clock time in seconds after which a sweep finds it.
        ended: Why the session is over, or "" while it lives.
        body: The encoded session; empty once it is over.
    """

    session_id: str
    owner: str
    step: int
    expires_at: float
    ended: str = ""
    body: bytes = b""


@dataclass(frozen=True)
class Swap:
    """Write `record` if the stored step is `expected_step`, or if nothing is stored where that is None."""

    record: Record
    expected_step: int | None


class Full(Exception):
    """The store has no room for another record."""


class Store(Protocol):
    """Records by id. Every verb takes many at once, and each record stands for itself."""

    @property
    def backend(self) -> str:
        """Name of the backend, a metric's label."""

    async def load(self, session_ids: Sequence[str]) -> list[Record | None]:
        """The records of those ids, None where there is none."""

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        """Compare and swap each record; False where another writer was first.

        Raises:
            Full: A new record found no room; nothing was written.
        """

    async def delete(self, session_ids: Sequence[str]) -> None:
        """Forget records, as if they had never existed."""

    async def expired(self, now: float, limit: int) -> list[Record]:
        """Records whose time is over, ended ones included, the longest overdue first."""

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        """An owner's records in the order of their ids, from the first id greater than `after`."""

    async def count(self) -> tuple[int, int]:
        """How many sessions live, and the bytes of their bodies."""

    async def close(self) -> None:
        """Let go of files and connections."""
