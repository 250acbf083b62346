"""Refusals that say too little."""

import pytest

from loadtest.answers import Problem
from loadtest.checks.problem import check_problem

RIGHT = Problem(type="urn:problem:p", title="A problem", status=422, detail="what is wrong")


def test_a_refusal_with_its_reason_passes() -> None:
    assert check_problem(RIGHT, 422) is None


def test_a_refusal_with_another_status_than_its_reply_fails() -> None:
    assert check_problem(RIGHT, 400) == "problem: its status is not that of the reply"


@pytest.mark.parametrize("member", ["type", "title", "detail"])
def test_a_refusal_without_a_reason_fails(member: str) -> None:
    assert check_problem(RIGHT.model_copy(update={member: ""}), 422) == "problem: does not say what is wrong"
