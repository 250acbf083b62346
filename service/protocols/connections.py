"""The connections of this process on both ports: how many are open, and how many of them broke."""

from collections import Counter

HTTP, WEBSOCKET = "http", "websocket"


class Connections:
    """Counts connections.

    Attributes:
        num_open: By kind.
    """

    def __init__(self) -> None:
        self.num_open = Counter({HTTP: 0, WEBSOCKET: 0})
        self._num_broken = 0

    def begin(self, kind: str) -> None:
        """Count a connection."""
        self.num_open[kind] += 1

    def end(self, kind: str, error: Exception | None = None) -> None:
        """Count a connection no longer. The kernel ends it with a TimeoutError if its client reads nothing."""
        self.num_open[kind] -= 1
        self._num_broken += isinstance(error, TimeoutError)

    def take_broken(self) -> int:
        """Return how many the kernel has broken since the last such call, because their clients read nothing."""
        num_broken, self._num_broken = self._num_broken, 0
        return num_broken


connections = Connections()
