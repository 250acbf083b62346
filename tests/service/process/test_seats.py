"""Seats: as many as there are, taken back from whoever ends."""

import asyncio
import subprocess
import sys
import uuid

import pytest

from service.process.seats import Seats, can_wait_for_seats

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not can_wait_for_seats(), reason="needs Linux's abstract socket names"),
]
TAKE_AND_STAY = """
import sys, time
from service.process.seats import Seats
seats = Seats(sys.argv[1], 1)
print(seats.take(), flush=True)
time.sleep(60)
"""


def test_there_are_as_many_as_workers_and_services_have_their_own() -> None:
    service, other = str(uuid.uuid4()), str(uuid.uuid4())
    workers = [*(Seats(service, 2) for _ in range(3)), Seats(other, 1)]
    assert [worker.take() for worker in workers] == [True, True, False, True]
    workers[0].leave()
    assert workers[2].take() is True
    for worker in workers:
        worker.leave()


async def test_who_waits_has_the_seat_of_a_killed_process_at_once() -> None:
    service = str(uuid.uuid4())
    with subprocess.Popen(  # noqa: S603, ASYNC220  words of this test, which waits for them
        [sys.executable, "-c", TAKE_AND_STAY, service], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        seats = Seats(service, 1)
        waiting = asyncio.create_task(seats.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        holder.kill()
    async with asyncio.timeout(1):
        await waiting
    assert Seats(service, 1).take() is False
    seats.leave()
