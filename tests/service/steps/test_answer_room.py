"""Room for answers: in the order of arrival, never more than there is, and nothing of it is lost."""

import asyncio

import pytest

from service.errors import DeadlineExceeded
from service.steps.answer_room import IN_PIECES, AnswerRoom, Holding
from service.steps.large_logits import MANY_LOGITS
from service.tasks.task import MAX_ANSWERED_VALUES
from tests.fakes.process import settle

pytestmark = pytest.mark.anyio
MANY = MANY_LOGITS + 1
BYTES = MANY * IN_PIECES


def room_of(num_bytes: int, seconds: float = 10.0, widest: int = 1) -> AnswerRoom:
    return AnswerRoom(num_bytes, seconds, lambda: widest)


def waiting(holding: Holding) -> asyncio.Task[None]:
    return asyncio.ensure_future(holding.wait())


async def test_those_who_wait_go_on_in_the_order_of_arrival_as_room_becomes_free() -> None:
    room = room_of(2 * BYTES)
    a, b = (room.of_logits(num, IN_PIECES) for num in (MANY, 2 * MANY))
    assert (a.is_in, b.is_in) == (True, False)
    tasks = [waiting(b)]
    await settle()
    others = [room.of_logits(MANY, IN_PIECES) for _ in range(2)]
    assert not any(each.is_in for each in others)  # one would fit, but another was first
    tasks += map(waiting, others)
    await settle()
    a.leave()
    await settle()
    assert [task.done() for task in tasks] == [True, False, False]
    b.leave()
    await settle()
    assert [task.done() for task in tasks] == [True, True, True]
    assert room.num_bytes == 2 * BYTES


async def test_a_small_answer_takes_nothing_and_never_waits() -> None:
    room = room_of(BYTES)
    here, late = (room.of_logits(MANY, IN_PIECES) for _ in range(2))
    task = waiting(late)
    await settle()
    small = room.of_logits(MANY_LOGITS, IN_PIECES)
    assert (task.done(), small.is_in, small.num_bytes, room.num_bytes) == (False, True, 0, BYTES)
    here.leave()
    await task


def test_items_of_a_model_that_is_not_known_are_counted_as_the_widest() -> None:
    room = room_of(2**30, widest=10)
    assert (room.is_needed(MANY_LOGITS // 10), room.is_needed(MANY_LOGITS // 10 + 1)) == (False, True)
    assert room.of_items(MANY, IN_PIECES).num_bytes == 10 * BYTES
    assert room.of_items(10**9, 1).num_bytes == MAX_ANSWERED_VALUES  # such a request is refused


def test_what_is_larger_than_all_room_has_it_alone() -> None:
    room = room_of(BYTES)
    with room.of_logits(100 * MANY, IN_PIECES) as whole:
        assert (whole.is_in, whole.num_bytes) == (True, BYTES)
        assert not room.of_logits(MANY, IN_PIECES).is_in
    assert room.num_bytes == 0


async def test_who_gives_up_waiting_lets_those_behind_go_on() -> None:
    room = room_of(2 * BYTES)
    here, gone, behind = (room.of_logits(num, IN_PIECES) for num in (MANY, 2 * MANY, 2 * MANY))
    tasks = [waiting(gone), waiting(behind)]
    await settle()
    here.leave()
    tasks[0].cancel()  # in the moment in which it is admitted
    await settle()
    assert (tasks[0].cancelled(), tasks[1].done()) == (True, True)
    behind.leave()
    behind.leave()
    assert room.num_bytes == 0


async def test_who_waits_too_long_is_late_and_holds_nothing() -> None:
    room = room_of(BYTES, seconds=0.05)
    here, late = (room.of_logits(MANY, IN_PIECES) for _ in range(2))
    with pytest.raises(DeadlineExceeded):
        await late.wait()
    late.leave()
    here.leave()
    assert room.num_bytes == 0


async def test_what_has_left_while_it_waited_gives_back_at_once() -> None:
    room = room_of(BYTES)
    here, gone = (room.of_logits(MANY, IN_PIECES) for _ in range(2))
    task = waiting(gone)
    await settle()
    gone.leave()
    here.leave()
    await task
    assert room.num_bytes == 0


def test_it_has_emptied_once_the_last_answer_has_gone() -> None:
    room = room_of(2 * BYTES)
    assert not room.has_emptied()
    with room.of_logits(MANY, IN_PIECES) as first, room.of_logits(MANY, IN_PIECES):
        first.leave()
        assert not room.has_emptied()
    assert room.has_emptied()
    assert not room.has_emptied()
