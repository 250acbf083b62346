"""Paths with one slash too many."""

from http import HTTPStatus

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.slash import SlashMiddleware
from service.metrics import Metrics

pytestmark = pytest.mark.anyio
SERVED = 299


async def served(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers everything."""
    await Response(status_code=SERVED)(scope, receive, send)


async def asked(method: str, path: str, raw_path: str = "", query: str = "") -> tuple[int, str | None]:
    """Status and address of the answer."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": (raw_path or path).encode(),
        "query_string": query.encode(),
        "headers": [],
    }
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await SlashMiddleware(served, Metrics().requests_tally)(scope, receive, send)  # type: ignore[arg-type]  # narrower
    headers = dict(sent[0]["headers"])  # type: ignore[call-overload]  # pairs
    location = headers.get(b"location")
    return sent[0]["status"], location.decode() if location else None  # type: ignore[return-value]  # a number


@pytest.mark.parametrize(
    ("path", "query", "address"),
    [
        ("/sessions/", "", "../sessions"),
        ("/sessions/", "limit=3&after=x", "../sessions?limit=3&after=x"),
        ("/sessions/abc/steps/", "", "../steps"),
        ("/sentiment/", "", "../sentiment"),
        ("/v2/", "", "../v2"),
    ],
)
async def test_the_address_is_relative_and_keeps_the_query(path: str, query: str, address: str) -> None:
    assert await asked("POST", path, query=query) == (HTTPStatus.TEMPORARY_REDIRECT, address)


@pytest.mark.parametrize(
    ("method", "path", "raw_path"),
    [
        ("GET", "/", ""),
        ("GET", "/sessions", ""),
        ("GET", "/ui/", ""),
        ("GET", "/nothing/", ""),
        ("DELETE", "/sessions/abc/", ""),
        ("GET", "//example.com/", ""),
        ("GET", "//sessions/", ""),
        ("POST", "/sessions/./", "/sessions/%2e/"),
        ("POST", "/sessions/../", ""),
        ("POST", "/sessions/a/steps/", "/sessions/a%2Fsteps/"),
    ],
)
async def test_what_is_led_nowhere_is_answered_as_it_is(method: str, path: str, raw_path: str) -> None:
    assert await asked(method, path, raw_path) == (SERVED, None)
