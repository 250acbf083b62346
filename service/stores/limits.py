"""Limits on the live records of a store."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from service.stores.base import Count, Full, QuotaReached


class Limits(NamedTuple):
    """Limits beyond which new live records are refused. Existing ones continue, however large they grow.

    Attributes:
        max_sessions: Live records of all owners.
        max_bytes: Bytes in the bodies of all records, including checkpoints.
        max_sessions_per_owner: Live records of each owner; 0 for no limit per owner.
    """

    max_sessions: int = sys.maxsize
    max_bytes: int = sys.maxsize
    max_sessions_per_owner: int = 0

    def refusal(self, taken: Count, new: Count) -> Full | None:
        """Return the refusal of new live records beside those taken, or None. Ignores the limit per owner."""
        if not new.num_live:
            return None
        if taken.num_live + new.num_live > self.max_sessions:
            return Full(f"{taken.num_live} of {self.max_sessions} sessions live")
        if taken.num_bytes + new.num_bytes > self.max_bytes:
            return Full(f"{taken.num_bytes} of {self.max_bytes} bytes are taken")
        return None

    def quota_refusal(self, num_live: int, num_new: int) -> QuotaReached | None:
        """Return the refusal of an owner's new live records beside those that live, or None if they fit."""
        if not self.max_sessions_per_owner or num_live + num_new <= self.max_sessions_per_owner:
            return None
        return QuotaReached(num_live, self.max_sessions_per_owner)

    def check(self, owners: Sequence[str], num_bytes: int, taken: Count, count_of: Callable[[str], int]) -> None:
        """Check that there is room for new live records.

        Args:
            owners: The owner of each.
            num_bytes: Bytes in their bodies.
            taken: What there is before.
            count_of: Counts the live records of an owner.

        Raises:
            QuotaReached: An owner would have more live records than allowed, even if the store is also full.
            Full: There is no room.
        """
        if self.max_sessions_per_owner:
            for owner, num_new in Counter(owners).items():
                if quota_refusal := self.quota_refusal(count_of(owner), num_new):
                    raise quota_refusal
        if refusal := self.refusal(taken, Count(len(owners), num_bytes)):
            raise refusal
