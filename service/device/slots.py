"""Which slot of a pool holds which row of state. Pure.

The slots are a ring: a batch's rows overwrite the oldest ones. Every step writes a new row, so the oldest slots belong
to the sessions that have been idle longest.
"""

from collections.abc import Iterable, Sequence


class SlotRing:
    """Slots by the digest of the row that they hold.

    Args:
        num_slots: Slots of the pool.
        pinned: Digests of the rows that the first slots hold permanently.
    """

    def __init__(self, num_slots: int, pinned: Sequence[bytes]) -> None:
        self._num_slots = num_slots
        self._slots: dict[bytes, int] = {}
        self._digests: list[bytes | None] = [None] * num_slots
        self._first = self._next = len(pinned)
        self.fill(0, pinned)

    def __len__(self) -> int:
        return len(self._slots)

    def find(self, digests: Iterable[bytes]) -> list[int] | None:
        """Return the slots of rows, or None if one of them is missing."""
        try:
            return [self._slots[digest] for digest in digests]
        except KeyError:
            return None

    def claim(self, num_slots: int) -> int:
        """Empty the next `num_slots` adjacent slots, and return the first.

        Raises:
            ValueError: The pool has fewer.
        """
        if self._first + num_slots > self._num_slots:
            raise ValueError(f"{num_slots} slots were asked for, of {self._num_slots - self._first}")
        start = self._next if self._next + num_slots <= self._num_slots else self._first
        for slot in range(start, start + num_slots):
            self._forget(slot)
        self._next = start
        return start

    def fill(self, start: int, digests: Sequence[bytes]) -> None:
        """Set the rows that the claimed slots from `start` on hold."""
        for slot, digest in enumerate(digests, start):
            self._digests[slot] = digest
            self._slots[digest] = slot
        self._next = start + len(digests)

    def _forget(self, slot: int) -> None:
        digest, self._digests[slot] = self._digests[slot], None
        if digest is not None and self._slots.get(digest) == slot:
            del self._slots[digest]
