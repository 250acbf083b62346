"""Seats: each worker that serves has one. One more waits, with everything loaded, until a seat becomes free.

A seat is a name in the abstract namespace of Linux's sockets, unix(7): one process at a time has it, and the kernel
takes it back at that process's end, whatever the end was. So a killed worker's place is taken in a moment, though
starting another takes seconds, and BentoML notices within ten.
"""

import asyncio
import socket
import sys

LOOK_SECONDS = 0.05


def can_wait_for_seats() -> bool:
    """Whether this system has such names. Without them a spare worker serves like all others."""
    return sys.platform == "linux"


class Seats:
    """The seats of one service. A process keeps the seat that it has taken as long as this object is there.

    Args:
        service: A name that no other service on this machine has.
        num_seats: How many workers serve.
    """

    def __init__(self, service: str, num_seats: int) -> None:
        self._names = [f"\0unrolled:{service}:{seat}" for seat in range(num_seats)]
        self._taken: socket.socket | None = None

    def take(self) -> bool:
        """Take a seat until this process ends. Returns False if none is free."""
        for name in self._names:
            seat = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                seat.bind(name)
            except OSError:
                seat.close()
            else:
                self._taken = seat
                return True
        return False

    async def wait(self) -> None:
        """Take the next seat that is free."""
        while not self.take():  # noqa: ASYNC110  the kernel sends no event when a name becomes free
            await asyncio.sleep(LOOK_SECONDS)

    def leave(self) -> None:
        """Give this process's seat up."""
        if self._taken is not None:
            self._taken.close()
            self._taken = None
