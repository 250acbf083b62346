"""Seats: each worker that serves has one. One more waits, with everything loaded, until a seat becomes free.

A seat is a locked file in the service's directory, flock(2): one process at a time holds it, and the kernel frees it
when that process ends, however it ends. So a killed worker's place is taken at once, though starting another worker
takes seconds, and BentoML notices within ten.
"""

import asyncio
from pathlib import Path

from service.concurrency.file_lock import try_to_lock

POLL_SECONDS = 0.05


class Seats:
    """The seats of one service. A process keeps the seat that it has taken as long as this object exists.

    Args:
        directory: The service's.
        num_seats: How many workers serve.
    """

    def __init__(self, directory: Path, num_seats: int) -> None:
        # Opened once, so that workers that have begun keep them if the directory is removed.
        self._seats = [(directory / f"seat-{seat}").open("wb") for seat in range(num_seats)]

    def take(self) -> bool:
        """Take a seat until this process ends. Return False if none is free."""
        return any(try_to_lock(seat) for seat in self._seats)

    async def wait(self) -> None:
        """Wait for a free seat, and take it."""
        while not self.take():  # noqa: ASYNC110  the kernel sends no event when a lock becomes free
            await asyncio.sleep(POLL_SECONDS)

    def leave(self) -> None:
        """Give up this process's seat, and take none again."""
        for seat in self._seats:
            seat.close()
