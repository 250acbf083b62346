"""Who is let in, by HTTP and by WebSocket, and as whom."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.api.auth import INVALID_KEY, NO_KEY_OFFERED, AuthMiddleware, bearer_token, owner_of, subprotocol_of
from service.api.endpoints import PUBLIC_PATHS
from service.keys.key_file import add_key, remove_key
from service.keys.keys import Keys
from service.metrics import Metrics, RequestTally
from tests.fakes.clock import Clock


async def whose(request: Request) -> PlainTextResponse:
    return PlainTextResponse(owner_of(request.scope))


async def probe(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


async def echo(socket: WebSocket) -> None:
    await socket.accept(subprotocol_of(socket.scope))
    await socket.send_json([owner_of(socket.scope), socket.scope["subprotocols"]])
    async for text in socket.iter_text():
        await socket.send_text(text)


PROBES = [Route(path, probe) for path in (*sorted(PUBLIC_PATHS), "/ui/", "/ui/main.js")]
APP = Starlette(routes=[*PROBES, Route("/whose", whose, methods=["GET", "POST"]), WebSocketRoute("/stream", echo)])


class Door:
    """An application behind keys, one of which is ada's."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.clock = Clock()
        self.token = add_key(file, "ada")
        self.keys = Keys(file, self.clock)
        self.app = AuthMiddleware(APP, self.keys, RequestTally(Metrics()))
        self.client = TestClient(self.app)

    @property
    def bearer(self) -> dict[str, str]:
        """The headers of a caller with ada's key."""
        return {"Authorization": f"Bearer {self.token}"}

    def revoke(self) -> None:
        """Take ada's key away and let a second pass."""
        remove_key(self.file, self.token.split("_")[1])
        self.clock.now += 1


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """A door that is closed."""
    opened = Door(tmp_path / "keys")
    with opened.client:
        yield opened


def test_a_request_with_a_key_is_its_owners(door: Door) -> None:
    assert door.client.get("/whose", headers=door.bearer).text == "ada"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_is_read_as_http_reads_it(door: Door, scheme: str) -> None:
    assert door.client.get("/whose", headers={"Authorization": f"{scheme} {door.token}"}).text == "ada"


def test_without_keys_everyone_is_one_owner() -> None:
    client = TestClient(AuthMiddleware(APP, None, RequestTally(Metrics())))
    assert client.get("/whose").text == "anonymous"
    with client.websocket_connect("/stream") as socket:
        assert socket.receive_json() == ["anonymous", []]


@pytest.mark.parametrize(
    "path",
    ["/whose", "/metrics", "/docs.json/x", "/nothing", "/livez/", "/readyz/x", "/uix", "/static_x"],
)
def test_a_request_without_a_key_is_refused_whatever_it_asks_for(door: Door, path: str) -> None:
    answer = door.client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="unrolled"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:unrolled:problem:unauthenticated"


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}, {"X-Api-Key": "unr"}]
)
def test_other_schemes_are_no_key(door: Door, headers: Mapping[str, str]) -> None:
    assert door.client.get("/whose", headers=headers).headers["www-authenticate"] == 'Bearer realm="unrolled"'


def test_a_wrong_key_is_refused_as_such(door: Door) -> None:
    answer = door.client.get("/whose", headers={"Authorization": f"Bearer {door.token}0"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="unrolled", error="invalid_token"'
    assert door.token not in answer.text


def test_the_first_authorization_counts(door: Door) -> None:
    headers = [("Authorization", "Bearer unr_x_y"), ("Authorization", f"Bearer {door.token}")]
    assert door.client.get("/whose", headers=headers).status_code == 401


def test_a_refused_body_is_not_read(door: Door) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x"

    assert door.client.post("/whose", content=chunks()).status_code == 401


@pytest.mark.parametrize("path", sorted(PUBLIC_PATHS))
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer unr_x_y"}])
def test_probes_and_the_playground_need_no_key(door: Door, path: str, headers: Mapping[str, str]) -> None:
    assert door.client.get(path, headers=headers).text == "ok"


@pytest.mark.parametrize("path", ["/ui/", "/ui/main.js"])
def test_the_playgrounds_files_need_no_key(door: Door, path: str) -> None:
    assert door.client.get(path).text == "ok"


def test_a_removed_key_is_refused(door: Door) -> None:
    door.revoke()
    assert door.client.get("/whose", headers=door.bearer).status_code == 401


def test_an_application_that_nobody_guards_has_no_owner() -> None:
    with pytest.raises(KeyError):
        owner_of({"type": "http"})


def test_a_connection_with_a_key_is_its_owners(door: Door) -> None:
    with door.client.websocket_connect("/stream", headers=door.bearer) as socket:
        assert socket.accepted_subprotocol is None
        assert socket.receive_json() == ["ada", []]


def test_a_browser_offers_its_key_as_a_subprotocol_that_goes_no_further(door: Door) -> None:
    offered = ["unrolled", f"bearer.{door.token}"]
    with door.client.websocket_connect("/stream", subprotocols=offered) as socket:
        assert socket.accepted_subprotocol == "unrolled"
        assert socket.receive_json() == ["ada", ["unrolled"]]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer unr_x_y"}])
@pytest.mark.parametrize("offered", [[], ["another"]])
def test_a_connection_without_a_valid_key_is_answered_401(
    door: Door, headers: dict[str, str], offered: list[str]
) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as refusal,
        door.client.websocket_connect("/stream", headers=headers, subprotocols=offered),
    ):
        pass
    assert refusal.value.status_code == 401
    assert refusal.value.headers["www-authenticate"].startswith("Bearer")
    assert refusal.value.json()["title"] == "API key needed"


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (["unrolled"], NO_KEY_OFFERED),
        (["unrolled", "bearer."], NO_KEY_OFFERED),
        (["unrolled", "bearer.x"], INVALID_KEY),
    ],
)
def test_a_browser_without_a_valid_key_is_told_so_by_the_close_code(
    door: Door, offered: list[str], reason: str
) -> None:
    with door.client.websocket_connect("/stream", subprotocols=offered) as socket:
        assert socket.accepted_subprotocol == "unrolled"
        with pytest.raises(WebSocketDisconnect) as end:
            socket.receive_text()
    assert (end.value.code, end.value.reason) == (1008, reason)
    assert len(reason) <= 123


@pytest.mark.anyio
@pytest.mark.parametrize("offered", [["unrolled"], ["unrolled", "bearer.x"], ["bearer.x"], []])
async def test_the_application_hears_nothing_of_a_connection_without_a_valid_key(
    door: Door, offered: list[str]
) -> None:
    async def untouched(*_: object) -> None:
        raise AssertionError

    metrics = Metrics()
    app = AuthMiddleware(untouched, door.keys, metrics.requests_tally)
    await conversation(app, {"type": "websocket", "path": "/stream", "headers": [], "subprotocols": offered}, [])
    metrics.flush()
    code = "400" if offered == ["bearer.x"] else "401"
    labels = {"endpoint": "/stream", "code": code}
    assert metrics.registry.get_sample_value("rnn_requests_total", labels) == 1


def test_a_client_whose_header_has_its_key_may_offer_it_besides(door: Door) -> None:
    offered = [f"bearer.{door.token}"]
    with door.client.websocket_connect("/stream", headers=door.bearer, subprotocols=offered) as socket:
        assert socket.receive_json() == ["ada", []]


def test_a_key_is_not_offered_alone(door: Door) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as refusal,
        door.client.websocket_connect("/stream", subprotocols=[f"bearer.{door.token}"]),
    ):
        pass
    assert refusal.value.status_code == 400
    assert "offer the subprotocol unrolled too" in refusal.value.json()["detail"]


@pytest.mark.parametrize("path", sorted(PUBLIC_PATHS))
def test_what_needs_no_key_is_open_to_no_connection(door: Door, path: str) -> None:
    with pytest.raises(WebSocketDenialResponse), door.client.websocket_connect(path):
        pass


def test_a_connection_ends_with_its_key_before_the_next_message_is_served(door: Door) -> None:
    with door.client.websocket_connect("/stream", headers=door.bearer) as socket:
        socket.receive_json()
        socket.send_text("before")
        assert socket.receive_text() == "before"
        door.revoke()
        socket.send_text("after")
        with pytest.raises(WebSocketDisconnect) as end:
            socket.receive_text()
    assert (end.value.code, end.value.reason) == (1008, "the API key was removed")


@pytest.mark.anyio
async def test_a_server_that_cannot_answer_a_refused_connection_closes_it(door: Door) -> None:
    sent = await conversation(door.app, {"type": "websocket", "path": "/stream", "headers": []}, [])
    assert [(message["type"], message.get("code")) for message in sent] == [("websocket.close", 1008)]


@pytest.mark.anyio
async def test_nothing_is_sent_on_a_connection_whose_key_is_gone(door: Door) -> None:
    async def stubborn(_: Scope, receive: Receive, send: Send) -> None:
        door.revoke()
        for _ in range(2):
            assert (await receive())["type"] == "websocket.disconnect"
            await send({"type": "websocket.send", "text": "late"})

    authorization = (b"authorization", f"Bearer {door.token}".encode())
    scope = {"type": "websocket", "path": "/stream", "headers": [authorization]}
    messages = [{"type": "websocket.receive", "text": text} for text in "ab"]
    sent = await conversation(AuthMiddleware(stubborn, door.keys, RequestTally(Metrics())), scope, messages)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.anyio
async def test_a_connection_that_its_client_ends_is_not_ended_again_without_its_key(door: Door) -> None:
    async def patient(_: Scope, receive: Receive, _send: Send) -> None:
        door.revoke()
        assert (await receive())["code"] == 1001

    authorization = (b"authorization", f"Bearer {door.token}".encode())
    scope = {"type": "websocket", "path": "/stream", "headers": [authorization]}
    end = {"type": "websocket.disconnect", "code": 1001}
    assert await conversation(AuthMiddleware(patient, door.keys, RequestTally(Metrics())), scope, [end]) == []


async def conversation(app: AuthMiddleware, scope: Scope, messages: list[Message]) -> list[Message]:
    """What an application sends to a server that has these messages for it."""
    sent: list[Message] = []
    pending = iter(messages)

    async def receive() -> Message:
        return next(pending, {"type": "websocket.connect"})

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("value", "token"),
    [(b"Bearer unr_a_b", b"unr_a_b"), (b"bearer  unr_a_b ", b"unr_a_b"), (b"Bearerunr_a_b", b""), (b"", b"")],
)
def test_a_token_is_taken_out_of_its_header(value: bytes, token: bytes) -> None:
    assert bearer_token([(b"host", b"x"), (b"authorization", value)]) == token
