"""A store in memory that fails, hesitates or is damaged when a test says so."""

import asyncio
from collections.abc import Sequence

from service.stores.base import Damaged, Record, Swap, SwapGroup, Unavailable
from service.stores.limits import Limits
from service.stores.memory import MemoryStore

NO_LIMITS = Limits()


class FaultyStore(MemoryStore):
    """A store whose faults are set by hand.

    Args:
        limits: How much it takes.
        is_immediate: Whether it never waits; its gates must stay open then.

    Attributes:
        is_down: Whether every call fails.
        are_notes_down: Whether those for notes that are to be kept once fail.
        loses_answers: Whether writes happen and then fail all the same, as when a server's answer is lost.
        damaged: Ids whose records are not what was written.
        may_load, may_swap: Calls wait until it is set.
        num_held: Calls that wait.
        loads, swaps, advances: What was asked for, call by call.
    """

    def __init__(self, limits: Limits = NO_LIMITS, is_immediate: bool = False) -> None:
        super().__init__(limits)
        self.is_immediate = is_immediate
        self.is_down = self.are_notes_down = False
        self.loses_answers = False
        self.damaged: set[str] = set()
        self.may_load, self.may_swap = asyncio.Event(), asyncio.Event()
        self.may_load.set()
        self.may_swap.set()
        self.num_held = 0
        self.loads: list[list[str]] = []
        self.swaps: list[list[Swap]] = []
        self.advances: list[list[SwapGroup]] = []

    async def load(self, session_ids: Sequence[str]) -> list[Record | Damaged | None]:
        self.loads.append(list(session_ids))
        await self._wait(self.may_load)
        self._check()
        records = await super().load(session_ids)
        return [
            Damaged(session_id, "by a test") if session_id in self.damaged else record
            for session_id, record in zip(session_ids, records, strict=True)
        ]

    async def swap(self, swaps: Sequence[Swap]) -> list[bool]:
        self.swaps.append(list(swaps))
        await self._wait(self.may_swap)
        self._check()
        written = await super().swap(swaps)
        if self.loses_answers:
            raise Unavailable("the answer was lost")
        return written

    async def advance(self, groups: Sequence[SwapGroup]) -> list[list[bool]]:
        self.advances.append(list(groups))
        return await super().advance(groups)

    async def delete(self, session_ids: Sequence[str]) -> None:
        self._check()
        await super().delete(session_ids)

    async def delete_overdue(self, session_ids: Sequence[str], now: int) -> None:
        self._check()
        await super().delete_overdue(session_ids, now)

    async def idlest(self, limit: int) -> list[Record]:
        self._check()
        return await super().idlest(limit)

    async def page(self, owner: str, after: str, limit: int) -> list[Record]:
        self._check()
        return await super().page(owner, after, limit)

    async def note(self, name: str, value: bytes | None) -> None:
        self._check()
        await super().note(name, value)

    async def note_once(self, name: str, value: bytes) -> bytes:
        self._check()
        if self.are_notes_down:
            raise Unavailable("by a test")
        return await super().note_once(name, value)

    async def lose_all(self) -> None:
        """Lose all records and notes, as a server that is emptied or restarted without its file."""
        await MemoryStore.delete(self, list(self._records))
        self._notes.clear()

    async def change(self, session_id: str, **changes: object) -> None:
        """Overwrite fields of a record, past every rule."""
        (record,) = await MemoryStore.load(self, [session_id])
        assert isinstance(record, Record)
        self._put(session_id, record._replace(**changes))

    async def stored(self, session_id: str) -> Record:
        """A record as it is stored."""
        (record,) = await MemoryStore.load(self, [session_id])
        assert isinstance(record, Record)
        return record

    async def _wait(self, gate: asyncio.Event) -> None:
        if not self.is_immediate:
            await asyncio.sleep(0)
            if not gate.is_set():
                self.num_held += 1
                await gate.wait()
                self.num_held -= 1

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("by a test")
