"""Room for answers: in the order of arrival, never more than there is, and small ones past large ones."""

import asyncio
from collections.abc import Callable

import pytest

from service.steps.answer_room import IN_PIECES, MAX_SMALL_LOGITS, AnswerRoom, Holding

pytestmark = pytest.mark.anyio
MANY = MAX_SMALL_LOGITS + 1
BYTES = MANY * IN_PIECES


def noting(said: list[str], word: str) -> Callable[[], None]:
    """Says a word when it is called."""
    return lambda: said.append(word)


def test_those_who_wait_go_on_in_the_order_of_arrival_as_room_becomes_free() -> None:
    room, said = AnswerRoom(2 * BYTES), []  # type: tuple[AnswerRoom, list[str]]
    holdings = {word: Holding(IN_PIECES) for word in "abcd"}
    sizes = {"a": MANY, "b": 2 * MANY, "c": MANY, "d": MANY}
    entered = {word: holdings[word].enter(room, sizes[word], noting(said, word)) for word in "abcd"}
    assert entered == {"a": True, "b": False, "c": False, "d": False}  # c would fit, but b was first
    holdings["a"].leave()
    assert said == ["b"]
    assert room.num_bytes == 2 * BYTES
    holdings["b"].leave()
    assert said == ["b", "c", "d"]
    holdings["c"].leave()
    holdings["d"].leave()
    assert room.num_bytes == 0


def test_a_small_answer_does_not_wait_for_large_ones() -> None:
    room = AnswerRoom(BYTES)
    assert Holding(IN_PIECES).enter(room, MANY, list)
    assert not Holding(IN_PIECES).enter(room, MANY, list)
    assert Holding(IN_PIECES).enter(room, MAX_SMALL_LOGITS, list)


def test_what_is_larger_than_all_room_has_it_alone() -> None:
    room = AnswerRoom(BYTES)
    with Holding(IN_PIECES) as whole:
        assert whole.enter(room, 100 * MANY, list)
        assert not Holding(IN_PIECES).enter(room, MANY, list)


def test_the_steps_of_a_request_wait_together_and_hold_once() -> None:
    room, said = AnswerRoom(2 * BYTES), []  # type: tuple[AnswerRoom, list[str]]
    first, second = Holding(IN_PIECES), Holding(IN_PIECES)
    assert first.enter(room, 2 * MANY, list)
    assert first.enter(room, 2 * MANY, list)
    assert [second.enter(room, MANY, noting(said, word)) for word in "xyz"] == [False] * 3
    first.leave()
    assert said == ["x", "y", "z"]
    assert room.num_bytes == BYTES
    assert second.enter(room, MANY, list)


def test_who_gives_up_waiting_lets_those_behind_go_on() -> None:
    room, said = AnswerRoom(2 * BYTES), []  # type: tuple[AnswerRoom, list[str]]
    here, gone, behind = Holding(IN_PIECES), Holding(IN_PIECES), Holding(IN_PIECES)
    assert here.enter(room, MANY, list)
    assert not gone.enter(room, 2 * MANY, noting(said, "gone"))
    assert not behind.enter(room, MANY, noting(said, "behind"))
    gone.leave()
    gone.leave()
    assert said == ["behind"]
    assert room.num_bytes == 2 * BYTES


async def test_a_task_that_is_cancelled_while_it_waits_gives_nothing_back_twice() -> None:
    room = AnswerRoom(BYTES)
    here = Holding(IN_PIECES)
    await here.wait(room, MANY)

    async def waits() -> None:
        with Holding(IN_PIECES) as holding:
            await holding.wait(room, MANY)

    waiting = asyncio.create_task(waits())
    await asyncio.sleep(0)
    waiting.cancel()
    here.leave()  # grants the room in the same moment
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert room.num_bytes == 0


def test_memory_is_left_once_the_last_large_answer_has_gone() -> None:
    room = AnswerRoom(2 * BYTES)
    assert not room.has_left_memory()
    with Holding(IN_PIECES) as first, Holding(IN_PIECES) as second:
        first.enter(room, MANY, list)
        second.enter(room, MANY, list)
        first.leave()
        assert not room.has_left_memory()
    assert room.has_left_memory()
    assert not room.has_left_memory()
