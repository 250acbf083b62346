"""How many live records an owner may have."""

from collections import Counter
from collections.abc import Callable, Iterable

from service.stores.base import QuotaReached


class Quota:
    """The same for each owner.

    Args:
        most: Live records of one owner; 0 for as many as find room.
    """

    def __init__(self, most: int) -> None:
        self._most = most

    def check(self, owners: Iterable[str], count_of: Callable[[str], int]) -> None:
        """Make sure that more records may live.

        Args:
            owners: Of each record that is to live from now on.
            count_of: How many of an owner's live.

        Raises:
            QuotaReached: They may not.
        """
        if not self._most:
            return
        for owner, num_new in Counter(owners).items():
            num_live = count_of(owner)
            if num_live + num_new > self._most:
                raise QuotaReached(num_live, self._most)
