"""Paths with one slash too many."""

from http import HTTPStatus

import pytest
from starlette.responses import Response

from service.api.paths import OTHER
from service.api.slash import SlashMiddleware
from service.metrics import Metrics
from tests.fakes.asgi import Client

pytestmark = pytest.mark.anyio
SERVED = 299


async def asked(method: str, path: str) -> tuple[int, str | None]:
    """Status and address of the answer, where everything else is served."""
    app = SlashMiddleware(Response(status_code=SERVED), Metrics().requests_tally)
    answered = await Client(app).request(method, path)
    return answered.status, answered.headers.get("location")


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/sessions/", "../sessions"),
        ("/sessions/?limit=3&after=x", "../sessions?limit=3&after=x"),
        ("/sessions/abc/steps/", "../steps"),
        ("/sentiment/", "../sentiment"),
        ("/v2/", "../v2"),
    ],
)
async def test_the_address_is_relative_and_keeps_the_query(path: str, address: str) -> None:
    assert await asked("POST", path) == (HTTPStatus.TEMPORARY_REDIRECT, address)


async def test_a_redirect_is_counted() -> None:
    metrics = Metrics()
    await Client(SlashMiddleware(Response(status_code=SERVED), metrics.requests_tally)).request("POST", "/steps/")
    metrics.flush()
    labels = {"endpoint": OTHER, "code": "307"}
    assert metrics.registry.get_sample_value("rnn_requests_total", labels) == 1


async def test_who_does_not_follow_is_told_what_is_wrong() -> None:
    app = SlashMiddleware(Response(status_code=SERVED), Metrics().requests_tally)
    answered = await Client(app).request("POST", "/sentiment/")
    assert (answered.json()["status"], answered.json()["detail"]) == (307, "this path has no slash at its end")


async def test_a_redirect_has_the_form_of_its_path() -> None:
    app = SlashMiddleware(Response(status_code=SERVED), Metrics().requests_tally)
    for path in ("/v1/models/", "/v2/"):
        answered = await Client(app).request("GET", path)
        assert (answered.status, answered.headers["content-type"]) == (307, "application/json")
        error = answered.json()["error"]
        assert (error["message"] if path == "/v1/models/" else error) == "this path has no slash at its end"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/sessions"),
        ("GET", "/ui/"),
        ("GET", "/nothing/"),
        ("DELETE", "/sessions/abc/"),
        ("GET", "//example.com/"),
        ("GET", "//sessions/"),
        ("POST", "/sessions/%2e/"),
        ("POST", "/sessions/../"),
        ("POST", "/sessions/a%2Fsteps/"),
    ],
)
async def test_what_is_led_nowhere_is_answered_as_it_is(method: str, path: str) -> None:
    assert await asked(method, path) == (SERVED, None)
