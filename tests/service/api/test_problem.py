"""Refusals as documents, and handlers that refuse."""

import logging

import pytest
from starlette.responses import Response

from service.api.problem import answers_problems, problem_of, problem_response
from service.errors import ModelUnknown, QueueFull, StoreFull

pytestmark = pytest.mark.anyio


def test_only_a_refusal_that_passes_says_when_to_ask_again() -> None:
    passing, lasting = StoreFull("full"), ModelUnknown("none")
    assert problem_response(passing).headers["retry-after"] == "60"
    assert problem_of(passing)["retry_after"] == 60
    assert problem_response(QueueFull("full")).headers["retry-after"] == "5"
    assert "retry-after" not in problem_response(lasting).headers
    assert "retry_after" not in problem_of(lasting)


async def test_a_handler_that_fails_is_logged_and_answers_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    @answers_problems
    async def fail() -> str:
        raise ValueError("a secret")

    @answers_problems
    async def refuse() -> str:
        raise ModelUnknown("none")

    @answers_problems
    async def answer() -> str:
        return "fine"

    failed, refused = await fail(), await refuse()
    assert isinstance(failed, Response)
    assert isinstance(refused, Response)
    assert (failed.status_code, refused.status_code, await answer()) == (500, 404, "fine")
    assert b"secret" not in bytes(failed.body)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.ERROR, "fail failed")]
