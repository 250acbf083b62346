"""The turns that are under way, without a store or a model."""

import asyncio

import pytest

from service.errors import ShuttingDown, TooBusy
from service.steps.open_turns import MAX_WAITING_PER_SESSION, OpenTurns
from service.steps.turn import Ask, Turn
from tests.fakes.process import until

pytestmark = pytest.mark.anyio


def turn(session_id: str = "a") -> Turn:
    return Turn(Ask("ann", session_id, None, {}, None), lambda _: None)


def open_turns(late: list[Turn] | None = None, timeout_seconds: float = 60.0) -> OpenTurns:
    return OpenTurns(timeout_seconds, ([] if late is None else late).append)


async def test_one_turn_of_a_session_begins_and_the_next_when_it_is_closed() -> None:
    turns, (first, second, third, other) = open_turns(), (turn(), turn(), turn(), turn("b"))
    assert [turns.admit(each) for each in (first, second, third, other)] == [True, False, False, True]
    assert turns.close(first) is second
    assert turns.close(second) is third
    assert turns.holds("a")
    assert turns.close(third) is None
    assert not turns.holds("a")
    assert len(turns) == 1


async def test_a_turn_that_waits_may_go_without_letting_another_begin() -> None:
    turns, (first, second, third) = open_turns(), (turn(), turn(), turn())
    for each in (first, second, third):
        turns.admit(each)
    assert turns.close(second) is None
    assert turns.close(first) is third


async def test_a_turn_that_is_not_here_is_closed_without_effect() -> None:
    turns, first = open_turns(), turn()
    turns.admit(first)
    assert turns.close(turn()) is None
    turns.close(first)
    assert turns.close(first) is None
    assert not turns.holds("a")


async def test_too_many_of_a_session_are_refused_and_others_are_not() -> None:
    turns = open_turns()
    for _ in range(1 + MAX_WAITING_PER_SESSION):
        turns.admit(turn())
    with pytest.raises(TooBusy, match="256 steps of this session"):
        turns.admit(turn())
    assert turns.admit(turn("b"))


async def test_draining_waits_for_the_last_one_and_takes_no_more() -> None:
    turns, first, last = open_turns(), turn(), turn("c")
    turns.admit(first)
    turns.admit(last)
    drained = asyncio.create_task(turns.drain())
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDown):
        turns.admit(turn("b"))
    turns.close(first)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not drained.done()
    turns.close(last)
    await asyncio.wait_for(drained, 1)
    await asyncio.wait_for(turns.drain(), 1)


async def test_all_who_drain_are_told_when_the_last_one_is_over() -> None:
    turns, last = open_turns(), turn()
    turns.admit(last)
    draining = [asyncio.create_task(turns.drain()) for _ in range(2)]
    await asyncio.sleep(0)
    turns.close(last)
    await asyncio.wait_for(asyncio.gather(*draining), 1)


async def test_who_takes_too_long_is_told_of_unless_it_is_being_committed() -> None:
    late: list[Turn] = []
    turns, (slow, committing) = open_turns(late, timeout_seconds=0.02), (turn("a"), turn("b"))
    committing.is_committing = True
    for each in (committing, slow):
        turns.admit(each)
    assert not turns.is_late(slow)
    await until(lambda: bool(late))
    assert late == [slow]
    assert turns.is_late(committing)
    assert "0.02 seconds" in str(turns.too_late())


async def test_a_turn_that_came_later_has_its_own_time() -> None:
    late: list[Turn] = []
    turns, (slow, later) = open_turns(late, timeout_seconds=0.02), (turn("a"), turn("b"))
    later.started += 60
    for each in (slow, later):
        turns.admit(each)
    await until(lambda: bool(late))
    assert late == [slow]


async def test_time_is_kept_again_for_those_who_come_after_all_were_late() -> None:
    late: list[Turn] = []
    turns, (first, second) = open_turns(late, timeout_seconds=0.02), (turn("a"), turn("b"))
    turns.admit(first)
    await until(lambda: bool(late))
    turns.close(first)
    turns.admit(second)
    await until(lambda: len(late) == 2)
    assert late == [first, second]


async def test_a_turn_that_had_waited_before_it_was_admitted_is_late_as_much_earlier() -> None:
    late: list[Turn] = []
    turns, (punctual, waited, coming) = open_turns(late), (turn("a"), turn("b"), turn("c"))
    waited.started -= 59.98
    for each in (punctual, waited, coming):
        turns.admit(each)
    await until(lambda: bool(late))
    assert late == [waited]


async def test_who_is_admitted_by_who_is_late_puts_nobody_off() -> None:
    admitted = turn("c")

    def on_late(each: Turn) -> None:
        late.append(each)
        turns.close(each)
        if each is first:
            turns.admit(admitted)

    late: list[Turn] = []
    turns, (first, second) = OpenTurns(60.0, on_late), (turn("a"), turn("b"))
    first.started, second.started = first.started - 59.98, second.started - 59.9
    turns.admit(first)
    turns.admit(second)
    await until(lambda: len(late) == 2)
    assert late == [first, second]
