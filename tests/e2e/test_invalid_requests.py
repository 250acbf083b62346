"""Every invalid request of the load test, which sends only some of them in a run, is refused as it expects."""

import httpx
import pytest

from loadtest.answers import Problem
from loadtest.invalid_requests import INVALID_REQUESTS
from loadtest.question import PROBLEM_JSON, Question

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("port", ["client", "fast"])
@pytest.mark.parametrize("invalid", INVALID_REQUESTS, ids=lambda each: f"{each.method} {each.path}: {each.case}")
def test_an_invalid_request_is_refused_with_the_reason(
    port: str, invalid: Question[Problem], request: pytest.FixtureRequest
) -> None:
    asked: httpx.Client = request.getfixturevalue(port)
    headers = {"Content-Type": invalid.content_type} if invalid.body is not None else {}
    answer = asked.request(invalid.method, invalid.path, content=invalid.body, headers=headers)
    assert answer.status_code == invalid.status, answer.text
    assert answer.headers["content-type"] == PROBLEM_JSON
    problem = answer.json()
    assert problem["status"] == invalid.status
    assert problem["detail"]
    assert asked.get("/readyz").status_code == 200
