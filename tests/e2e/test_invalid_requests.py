"""Every invalid request of the load test, which sends only some of them in a run, is refused as it expects."""

import httpx
import pytest

from loadtest.invalid_requests import INVALID_REQUESTS, InvalidRequest

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("port", ["client", "fast"])
@pytest.mark.parametrize("invalid", INVALID_REQUESTS, ids=lambda each: f"{each.method} {each.path}: {each.name}")
def test_an_invalid_request_has_its_status(port: str, invalid: InvalidRequest, request: pytest.FixtureRequest) -> None:
    asked: httpx.Client = request.getfixturevalue(port)
    headers = {"Content-Type": invalid.content_type} if invalid.body is not None else {}
    answer = asked.request(invalid.method, invalid.path, content=invalid.body, headers=headers)
    assert answer.status_code == invalid.status, answer.text
