"""A store that hands every verb on to another."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from service.stores.base import Count, Damaged, Record, Store, Successors, Swap

Result = TypeVar("Result")


class ForwardingStore(ABC):
    """Every verb but `close` is called through `_call`, which subclasses define."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.backend = store.backend
        self.is_immediate = store.is_immediate

    async def load(self, session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        return await self._call("load", self._store.load(session_ids))

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        return await self._call("swap", self._store.swap(swaps))

    async def advance(self, groups: Sequence[Successors]) -> list[list[bool]]:
        return await self._call("advance", self._store.advance(groups))

    async def delete(self, session_ids: Sequence[str]) -> None:
        await self._call("delete", self._store.delete(session_ids))

    async def delete_overdue(self, session_ids: Sequence[str], now: int) -> None:
        await self._call("delete_overdue", self._store.delete_overdue(session_ids, now))

    async def overdue(self, now: int, limit: int) -> list[Record]:
        return await self._call("overdue", self._store.overdue(now, limit))

    async def overdue_of(self, owner: str, now: int, limit: int) -> list[Record]:
        return await self._call("overdue_of", self._store.overdue_of(owner, now, limit))

    async def idlest(self, limit: int) -> list[Record]:
        return await self._call("idlest", self._store.idlest(limit))

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        return await self._call("page", self._store.page(owner, after, limit))

    async def count(self) -> Count:
        return await self._call("count", self._store.count())

    async def count_of(self, owner: str) -> int:
        return await self._call("count_of", self._store.count_of(owner))

    async def bundles(self) -> dict[str, int]:
        return await self._call("bundles", self._store.bundles())

    async def note(self, name: str, value: bytes | None) -> None:
        await self._call("note", self._store.note(name, value))

    async def note_once(self, name: str, value: bytes) -> bytes:
        return await self._call("note_once", self._store.note_once(name, value))

    async def notes(self, prefix: str) -> dict[str, bytes]:
        return await self._call("notes", self._store.notes(prefix))

    async def weaknesses(self) -> list[str]:
        return await self._call("weaknesses", self._store.weaknesses())

    async def close(self) -> None:
        await self._store.close()

    @abstractmethod
    async def _call(self, op: str, call: Awaitable[Result]) -> Result:
        """Await a call of the verb `op`."""
