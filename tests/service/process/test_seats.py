"""Seats: as many as there are, taken back from whoever ends."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.process.seats import Seats

pytestmark = pytest.mark.anyio
TAKE_AND_STAY = """
import pathlib, sys, time
from service.process.seats import Seats
seats = Seats(pathlib.Path(sys.argv[1]), 1)
print(seats.take(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A service's."""
    directory = tmp_path / "service"
    directory.mkdir()
    return directory


def test_there_are_as_many_as_workers_and_services_have_their_own(directory: Path, tmp_path: Path) -> None:
    workers = [*(Seats(directory, 2) for _ in range(3)), Seats(tmp_path, 1)]
    assert [worker.take() for worker in workers] == [True, True, False, True]
    workers[0].leave()
    assert workers[2].take() is True
    for worker in workers:
        worker.leave()


def test_who_removes_the_directory_takes_no_seat_away(directory: Path) -> None:
    serving, waiting = Seats(directory, 1), Seats(directory, 1)
    assert serving.take()
    shutil.rmtree(directory)
    assert not waiting.take()
    serving.leave()
    assert waiting.take()
    waiting.leave()


async def test_who_waits_has_the_seat_of_a_killed_process(directory: Path) -> None:
    with subprocess.Popen(  # noqa: S603, ASYNC220  words of this test, which waits for them
        [sys.executable, "-c", TAKE_AND_STAY, str(directory)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        seats = Seats(directory, 1)
        waiting = asyncio.create_task(seats.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        holder.kill()
    async with asyncio.timeout(10):
        await waiting
    other = Seats(directory, 1)
    assert other.take() is False
    other.leave()
    seats.leave()
