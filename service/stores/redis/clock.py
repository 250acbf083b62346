"""The time by a server's clock: processes that share it agree, whatever the clocks of their own machines say."""

import time
from collections.abc import Callable

from service.process.wall_clock import boot_seconds


class ServerClock:
    """Wall-clock seconds since 1970 by a server, or by this machine as long as the server has not told.

    Attributes:
        uptime: What goes on between two times that it tells.

    Args:
        wall: This machine's wall-clock seconds since 1970.
        uptime: Seconds that only grow.
    """

    def __init__(self, wall: Callable[[], float] = time.time, uptime: Callable[[], float] = boot_seconds) -> None:
        self.uptime = uptime
        self._wall = wall
        self._ahead: float | None = None  # of `uptime`

    def __call__(self) -> float:
        return self._wall() if self._ahead is None else self.uptime() + self._ahead

    @property
    def is_known(self) -> bool:
        """Whether the server has told."""
        return self._ahead is not None

    def set(self, server_seconds: float, asked_at: float) -> None:
        """Go by what the server has just told.

        Args:
            server_seconds: Seconds since 1970.
            asked_at: When it was asked, by `uptime`; it is taken to have read its clock half-way from then to now.
        """
        self._ahead = server_seconds - (asked_at + self.uptime()) / 2
