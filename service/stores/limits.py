"""Limits on the live records of a store."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from service.stores.base import Count, Full, QuotaReached


class Limits(NamedTuple):
    """Beyond these a new live record is refused. Those that live go on, however large they grow. None by default.

    Attributes:
        max_sessions: Live records of all owners.
        max_bytes: Bytes of the bodies of all records, checkpoints included.
        max_sessions_per_owner: Live records of each owner; 0 for as many as find room.
    """

    max_sessions: int = sys.maxsize
    max_bytes: int = sys.maxsize
    max_sessions_per_owner: int = 0

    def refusal(self, taken: Count, new: Count) -> Full | None:
        """The refusal of new live records beside what there is. None if they find room. Knows no owners."""
        if not new.num_live:
            return None
        if taken.num_live + new.num_live > self.max_sessions:
            return Full(f"{taken.num_live} of {self.max_sessions} sessions live")
        if taken.num_bytes + new.num_bytes > self.max_bytes:
            return Full(f"{taken.num_bytes} of {self.max_bytes} bytes are taken")
        return None

    def check_owners(self, owners: Iterable[str], count_of: Callable[[str], int]) -> None:
        """Make sure that no owner gets more live records than one may have.

        Args:
            owners: The owner of each new live record.
            count_of: Counts the live records of an owner.

        Raises:
            QuotaReached: An owner would have more.
        """
        if not self.max_sessions_per_owner:
            return
        for owner, num_new in Counter(owners).items():
            num_live = count_of(owner)
            if num_live + num_new > self.max_sessions_per_owner:
                raise QuotaReached(num_live, self.max_sessions_per_owner)
