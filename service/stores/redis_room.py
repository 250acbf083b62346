"""How full a store on Redis is, as far as one process knows."""

from service.stores.base import Count, Full
from service.stores.limits import Limits

STALE_SECONDS = 1.0


class Room:
    """The counts of all shards as they were last read, and what this process has changed since.

    What others have added since is not known: the limits may be exceeded by what all other processes create within
    STALE_SECONDS. A refusal is always made by fresh counts.

    Args:
        limits: Of the store.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._num_live = 0
        self._num_bytes = 0
        self._stale_at = float("-inf")

    def is_stale(self, now: float) -> bool:
        """Whether the counts should be read again."""
        return now >= self._stale_at

    def learn(self, count: Count, now: float) -> None:
        """Take counts that have been read just now."""
        self._num_live, self._num_bytes = count
        self._stale_at = now + STALE_SECONDS

    def forget(self) -> None:
        """It is not known what has been changed: have the counts read again."""
        self._stale_at = float("-inf")

    def add(self, num_live: int, num_bytes: int) -> None:
        """Enter what this process has changed or is about to."""
        self._num_live += num_live
        self._num_bytes += num_bytes

    def refusal(self, new: Count) -> Full | None:
        """Why so many more live records do not find room; None if they do."""
        return self._limits.refusal(Count(self._num_live, self._num_bytes), new)
