"""Seats: each worker that serves has one. One more waits, with everything loaded, until a seat becomes free.

A seat is a locked file in the service's directory, flock(2): one process at a time has it, and the kernel takes it back
at that process's end, whatever the end was. So a killed worker's place is taken in a moment, though starting another
takes seconds, and BentoML notices within ten.
"""

import asyncio
import fcntl
from pathlib import Path

LOOK_SECONDS = 0.05


class Seats:
    """The seats of one service. A process keeps the seat that it has taken as long as this object is there.

    Args:
        directory: The service's.
        num_seats: How many workers serve.
    """

    def __init__(self, directory: Path, num_seats: int) -> None:
        # Opened once: whoever removes the directory takes none away from those that have begun.
        self._seats = [(directory / f"seat-{seat}").open("wb") for seat in range(num_seats)]

    def take(self) -> bool:
        """Take a seat until this process ends. Returns False if none is free."""
        for seat in self._seats:
            try:
                fcntl.flock(seat, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return True
        return False

    async def wait(self) -> None:
        """Take the next seat that is free."""
        while not self.take():  # noqa: ASYNC110  the kernel sends no event when a lock becomes free
            await asyncio.sleep(LOOK_SECONDS)

    def leave(self) -> None:
        """Give this process's seat up, and take none any more."""
        for seat in self._seats:
            seat.close()
