"""The access log."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import access_log
from service.api.access_log import AccessLogMiddleware
from service.api.auth import AuthMiddleware
from service.keys.key_file import add_key
from service.keys.keys import Keys
from service.metrics import Metrics
from tests.fakes.asgi import Client

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    before = access_log.logger.level
    yield
    access_log.logger.setLevel(before)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, with T for times."""
    return [re.sub(r"\d+\.\d ms", "T", message) for message in caplog.messages]


def logging(app: ASGIApp) -> Client:
    """A client of an application whose requests are logged."""
    return Client(AccessLogMiddleware(app))


async def test_a_request_is_a_line_without_its_query(caplog: pytest.LogCaptureFixture) -> None:
    await logging(PlainTextResponse("four", 201)).request("PUT", "/a%0Ab?secret=1", {"x-request-id": "7f3c"})
    assert lines(caplog) == ['- "PUT /a%0Ab" 201 4 bytes T, owner ann, request 7f3c']


async def test_a_line_tells_how_long_its_request_took(caplog: pytest.LogCaptureFixture) -> None:
    await logging(PlainTextResponse("four")).request("GET", "/a")
    (milliseconds,) = re.findall(r" (\d+\.\d) ms", caplog.text)
    assert float(milliseconds) < 60_000


async def test_it_names_the_owner_of_a_key_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys"
    token = add_key(path, "alice")
    app = AuthMiddleware(Response(status_code=204), Keys(path), Metrics().requests_tally)
    client = logging(app)
    client.owner = "anonymous"
    await client.request("GET", "/sessions", {"authorization": f"Bearer {token}"})
    await client.request("GET", "/sessions", {"authorization": "Bearer unr_other"})
    allowed, refused = lines(caplog)
    assert allowed == '- "GET /sessions" 204 0 bytes T, owner alice'
    assert re.fullmatch(r'- "GET /sessions" 401 \d+ bytes T', refused)


async def test_a_request_that_is_given_up_or_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, _: Send) -> None:
        if scope["path"] == "/fails":
            raise RuntimeError
        await receive()

    client = logging(app)
    exchange = client.begin("POST", "/waits", None)
    await asyncio.sleep(0)
    await exchange.cancel()
    with pytest.raises(RuntimeError):
        await client.request("POST", "/fails")
    paths = ("/waits", "/fails")
    assert lines(caplog) == [f'- "POST {path}" 500 0 bytes T, owner ann' for path in paths]


@pytest.mark.parametrize(("accepts", "status"), [(True, 101), (False, 403)])
async def test_a_connection_is_a_line_at_its_end(accepts: bool, status: int, caplog: pytest.LogCaptureFixture) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if accepts:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "{}"})
        else:
            await send({"type": "websocket.http.response.start", "status": 403, "headers": []})

    async def nothing() -> Message:
        return {}

    async def send(_: Message) -> None:
        assert not caplog.messages

    scope = {"type": "websocket", "path": "/stream", "headers": [], "client": ("10.0.0.1", 5)}
    await AccessLogMiddleware(app)(scope, nothing, send)
    assert lines(caplog) == [f'10.0.0.1 "WS /stream" {status} T']
