"""Turns that are about to begin: which of them begin together."""

from collections.abc import Hashable, Sequence
from typing import Any

import pytest

from service.errors import DeadlineExceeded
from service.steps.arrivals import MAX_STARTED, MIN_CROWD_TURNS, OTHERS_WEIGHT, Arrivals
from service.steps.open_turns import OpenTurns
from service.steps.turn import Ask, Turn
from tests.fakes.process import settle

pytestmark = pytest.mark.anyio


class Moments:
    """What begins together, moment by moment."""

    def __init__(self) -> None:
        self.begun: list[list[str]] = []
        self.open = OpenTurns(60.0, lambda _: None)
        self.arrivals = Arrivals(self.open, self._begin)

    def arrive(self, *session_ids: str, source: Hashable = None, inputs: dict[str, Any] | None = None) -> list[Turn]:
        """Turns of those sessions, which are under way from now on."""
        turns = [Turn(Ask("ann", each, inputs=inputs), lambda _: None, source=source) for each in session_ids]
        for turn in turns:
            self.open.admit(turn)
            self.arrivals.add(turn)
        return turns

    def _begin(self, turns: Sequence[Turn]) -> None:
        self.begun.append([turn.ask.session_id for turn in turns])


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.steps.arrivals.GATHER_SECONDS", 60.0)


async def test_those_that_arrive_in_one_turn_of_the_loop_begin_together() -> None:
    moments = Moments()
    moments.arrive("a", "b")
    assert moments.begun == []
    await settle()
    moments.arrive("c")
    await settle()
    assert moments.begun == [["a", "b"], ["c"]]


async def test_one_that_is_over_by_then_does_not_begin() -> None:
    moments = Moments()
    _, late = moments.arrive("a", "b")
    late.error = DeadlineExceeded("by a test")
    await settle()
    assert moments.begun == [["a"]]


@pytest.mark.usefixtures("_patient")
async def test_in_a_crowd_a_few_wait_until_they_are_half_of_those_under_way() -> None:
    moments = Moments()
    crowd = [f"crowd {n}" for n in range(MIN_CROWD_TURNS)]
    moments.arrive(*crowd)
    await settle()
    moments.arrive("a")
    await settle()
    assert moments.begun == [crowd]
    others = [f"other {n}" for n in range(MIN_CROWD_TURNS)]
    moments.arrive(*others)
    await settle()
    assert moments.begun == [crowd, ["a", *others]]


async def test_in_a_crowd_nobody_waits_for_longer_than_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.steps.arrivals.GATHER_SECONDS", 0.0)
    moments = Moments()
    moments.arrive(*map(str, range(MIN_CROWD_TURNS)))
    await settle()
    moments.arrive("a")
    await settle()
    assert moments.begun[1:] == [["a"]]


class Client(list[str]):
    """A client that is as false as an empty list."""

    __hash__ = object.__hash__  # type: ignore[assignment]


async def test_who_sends_many_at_once_lets_the_others_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.steps.arrivals.GATHER_SECONDS", 0.0)
    moments = Moments()
    size = MAX_STARTED // OTHERS_WEIGHT
    flood = [f"flood {n}" for n in range(2 * size)]
    moments.arrive(*flood, source=Client())
    moments.arrive("a", "b", source=Client())
    moments.arrive("c")
    await settle()
    first, second, third = moments.begun
    assert first == ["flood 0", "a", "c", "flood 1", "b", *flood[2 : size - 3]]
    assert [*second, *third] == flood[size - 3 :]
    assert len(second) == size


async def test_all_others_go_before_the_second_of_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.steps.arrivals.GATHER_SECONDS", 0.0)
    moments = Moments()
    size = MAX_STARTED // OTHERS_WEIGHT
    moments.arrive("flood 0", "flood 1", source=Client())
    others = [f"other {n}" for n in range(size)]
    moments.arrive(*others)
    await settle()
    assert moments.begun == [["flood 0", *others[: size - 1]], [others[-1], "flood 1"]]


async def test_more_steps_in_tensors_start_at_once_than_others() -> None:
    moments = Moments()
    ids = [f"session {n}" for n in range(MAX_STARTED)]
    moments.arrive(*ids, inputs={"ids": [1]})
    await settle()
    assert moments.begun == [ids]
