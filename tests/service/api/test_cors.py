"""What pages are told, and what becomes of those that may not call."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message
from starlette.websockets import WebSocket

from service.api.cors import OriginMiddleware
from service.api.endpoints import STREAM
from service.api.origins import Origins
from service.api.stream.handshake import POLICY_VIOLATION
from service.metrics import Metrics
from service.settings import ServerSettings

HERE = "http://127.0.0.1:3000"
APP, EVIL = {"Origin": "https://app.example"}, {"Origin": "https://evil.example"}
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, x-stainless-lang",
    "Access-Control-Request-Private-Network": "true",
}


async def whole(_: Request) -> Response:
    return PlainTextResponse("ok", status_code=503, headers={"Retry-After": "1"})


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("ok")
    await socket.close()


class Guarded:
    """An application that pages of one other origin may call."""

    def __init__(self, needs_key: bool) -> None:
        self.metrics = Metrics()
        origins = Origins(ServerSettings(allowed_origins=APP["Origin"]), needs_key)
        app = Starlette(routes=[Route("/steps", whole, methods=["POST"]), WebSocketRoute("/stream", stream)])
        self.client = TestClient(OriginMiddleware(app, origins, self.metrics.requests_tally), base_url=HERE)


@pytest.fixture
def guarded() -> Guarded:
    """One without keys."""
    return Guarded(needs_key=False)


def test_an_answer_tells_a_page_that_it_may_read_it(guarded: Guarded) -> None:
    answer = guarded.client.post("/steps", headers=APP)
    assert (answer.text, answer.headers["access-control-allow-origin"]) == ("ok", APP["Origin"])
    assert answer.headers["vary"] == "Origin"
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"retry-after", "location", "inference-header-content-length"} <= set(exposed)
    assert "access-control-allow-credentials" not in answer.headers


def test_an_answer_to_no_page_is_as_it_was(guarded: Guarded) -> None:
    answer = guarded.client.post("/steps")
    assert (answer.text, set(answer.headers)) == ("ok", {"content-length", "content-type", "retry-after"})


@pytest.mark.parametrize("needs_key", [False, True])
def test_a_preflight_needs_no_key_and_asks_nothing(needs_key: bool) -> None:
    answer = Guarded(needs_key).client.options("/steps", headers=APP | PREFLIGHT)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, APP["Origin"])
    assert answer.headers["access-control-allow-headers"] == PREFLIGHT["Access-Control-Request-Headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize("needs_key", [False, True])
def test_a_preflight_of_a_page_that_may_not_call_is_refused(needs_key: bool) -> None:
    answer = Guarded(needs_key).client.options("/steps", headers=EVIL | PREFLIGHT)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_that_may_not_call_is_told_and_counted(guarded: Guarded) -> None:
    answer = guarded.client.post("/steps", headers=EVIL)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:unrolled:problem:origin-not-allowed")
    assert EVIL["Origin"] in answer.json()["detail"]
    assert "access-control-allow-origin" not in answer.headers
    with pytest.raises(WebSocketDenialResponse) as refused:
        guarded.client.websocket_connect(HERE.replace("http", "ws") + STREAM.path, headers=EVIL).__enter__()
    assert refused.value.status_code == 403
    assert refused.value.json()["type"] == "urn:unrolled:problem:origin-not-allowed"
    told = asyncio.run(guarded.metrics.exposition()).decode()
    for endpoint in ("/steps", "/stream"):
        assert f'rnn_requests_total{{code="403",endpoint="{endpoint}"}} 1.0' in told


@pytest.mark.anyio
async def test_a_server_that_cannot_answer_a_page_that_may_not_connect_closes_its_connection(guarded: Guarded) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"origin", EVIL["Origin"].encode())]
    await guarded.client.app({"type": "websocket", "path": STREAM.path, "headers": headers}, receive, send)
    assert [(message["type"], message.get("code")) for message in sent] == [("websocket.close", POLICY_VIOLATION)]


def test_a_stream_is_opened_for_pages_that_may_call_and_for_who_is_no_page(guarded: Guarded) -> None:
    for headers in (APP, {"Origin": HERE}, {}):
        with guarded.client.websocket_connect(HERE.replace("http", "ws") + STREAM.path, headers=headers) as socket:
            assert socket.receive_text() == "ok"


def test_with_keys_a_page_elsewhere_is_asked_for_its_key_and_told_nothing() -> None:
    answer = Guarded(needs_key=True).client.post("/steps", headers=EVIL)
    assert (answer.text, answer.headers.get("access-control-allow-origin")) == ("ok", None)
