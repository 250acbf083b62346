"""How full a store on Redis is, as far as one process knows."""

from service.stores.base import Count

STALE_SECONDS = 1.0


class Room:
    """The counts of all shards as they were last read, and what this process has changed since.

    What others have added since is not known: the limits may be exceeded by what all other processes create within
    STALE_SECONDS. A refusal is always made by fresh counts.

    Args:
        max_sessions: Live sessions that find room.
        max_bytes: Bytes of bodies beyond which no new session finds room.
    """

    def __init__(self, max_sessions: int, max_bytes: int) -> None:
        self._max_sessions = max_sessions
        self._max_bytes = max_bytes
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

    def refusal(self, num_live: int, num_bytes: int) -> str | None:
        """Why so many more live records do not find room; None if they do."""
        if not num_live:
            return None
        if self._num_live + num_live > self._max_sessions:
            return f"{self._num_live} of {self._max_sessions} sessions live"
        if self._num_bytes + num_bytes > self._max_bytes:
            return f"{self._num_bytes} of {self._max_bytes} bytes are taken"
        return None
