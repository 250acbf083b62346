"""Answers about sessions that must not pass, each beside one that must."""

import pytest

from loadtest.answers import ItemAnswer, Problem, SessionView, StepAnswer
from loadtest.checks.session import (
    check_conflict,
    check_continuity,
    check_gone,
    check_item,
    check_opened,
    check_replay,
    check_step,
    check_view,
)

VIEW = SessionView(session_id="s", model="sentiment", bundle="b:1", step=5, expires_at="2026-01-01T00:00:00+00:00")
OPENED = VIEW.model_copy(update={"step": 0})
STEP = StepAnswer[str](session_id="s", step=6, outputs="so far")


def problem(status: int, **members: object) -> Problem:
    right = Problem(type="urn:problem:p", title="A problem", status=status, detail="what is wrong")
    return right.model_copy(update=members)


def test_a_session_as_it_was_left_passes() -> None:
    assert check_view(VIEW, "s", "sentiment", 5) is None
    assert check_opened(OPENED, "sentiment") is None


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"session_id": "t"}, "session: another one was shown"),
        ({"model": "generation"}, "session: not the model that was asked for"),
        ({"step": 6}, "order: expected step 5, got 6"),
        ({"step": 0}, "order: expected step 5, got 0"),
    ],
)
def test_a_session_that_looks_otherwise_fails(changes: dict[str, object], failure: str) -> None:
    assert check_view(VIEW.model_copy(update=changes), "s", "sentiment", 5) == failure


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"session_id": ""}, "session: no id"),
        ({"model": "generation"}, "session: not the model that was asked for"),
        ({"step": 1}, "order: expected step 0, got 1"),
    ],
)
def test_a_session_that_opens_wrong_fails(changes: dict[str, object], failure: str) -> None:
    assert check_opened(OPENED.model_copy(update=changes), "sentiment") == failure


def test_a_step_must_lead_to_the_next_number() -> None:
    assert check_step(STEP, "s", 5) is None
    assert check_step(STEP, "s", 4) == "order: expected step 5, got 6"
    assert check_step(STEP, "s", 6) == "order: expected step 7, got 6"
    assert check_step(STEP, "t", 5) == "session: another one answered"


ITEM = ItemAnswer[str](session_id="s", status=200, step=6, outputs="so far")


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({}, None),
        ({"step": 5}, "order: expected step 6, got 5"),
        ({"step": None}, "order: expected step 6, got None"),
        ({"session_id": "t"}, "session: another one answered"),
        ({"status": 504, "outputs": None}, "item: expected 200, got 504"),
        ({"problem": problem(410)}, "item: 200 with a problem"),
        (
            {"status": 410, "problem": problem(410, type="urn:problem:session-gone", reason="evicted")},
            "item: expected 200, got 410 session-gone (evicted)",
        ),
    ],
)
def test_one_of_many_steps_must_be_taken_and_lead_to_the_next_number(
    changes: dict[str, object], failure: str | None
) -> None:
    assert check_item(ITEM.model_copy(update=changes), "s", 5) == failure


def test_a_repeated_step_must_be_answered_the_same() -> None:
    assert check_replay(STEP.model_copy(), STEP) is None
    assert check_replay(STEP.model_copy(update={"step": 7}), STEP) == "order: expected step 6, got 7"
    assert check_replay(STEP.model_copy(update={"outputs": "further"}), STEP) == (
        "replay: a repeated step was answered otherwise"
    )


def test_pieces_must_be_answered_as_the_whole() -> None:
    assert check_continuity(0.1 + 0.2, 0.1 + 0.2) is None
    assert check_continuity(0.1 + 0.2, 0.3) == "continuity: pieces are not answered as the whole"


@pytest.mark.parametrize(
    ("conflict", "failure"),
    [
        (problem(409, expected_step=6), None),
        (problem(409, expected_step=5), "conflict: expected_step is not the next step"),
        (problem(409), "conflict: expected_step is not the next step"),
        (problem(422, expected_step=6), "problem: its status is not that of the reply"),
    ],
)
def test_a_conflict_must_say_which_step_is_next(conflict: Problem, failure: str | None) -> None:
    assert check_conflict(conflict, 6) == failure


@pytest.mark.parametrize(
    ("gone", "failure"),
    [
        (problem(410, reason="ended"), None),
        (problem(410, reason="expired"), "gone: the reason is not ended"),
        (problem(410), "gone: the reason is not ended"),
        (problem(404, reason="ended"), "problem: its status is not that of the reply"),
    ],
)
def test_an_ended_session_must_say_so(gone: Problem, failure: str | None) -> None:
    assert check_gone(gone) == failure
