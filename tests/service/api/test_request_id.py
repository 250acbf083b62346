"""The id of a request, in its answer and in the log."""

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.api.problem import answers_problems
from service.api.request_id import RequestIdMiddleware
from service.api.stream.handshake import refuse
from tests.fakes.asgi import Client

pytestmark = pytest.mark.anyio


@answers_problems
async def _fail() -> Response:
    raise RuntimeError("a bug")


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that fails."""
    await (await _fail())(scope, receive, send)


@pytest.mark.parametrize("request_id", ["7", "!~" * 64, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"])
async def test_an_answer_bears_the_id_of_its_request(request_id: str) -> None:
    client = Client(RequestIdMiddleware(Response(status_code=204)))
    answered = await client.request("GET", "/", {"x-request-id": request_id})
    assert answered.headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "two words", "a\nline", "long" * 33, "é"])
async def test_what_is_no_id_is_left_out(request_id: str, caplog: pytest.LogCaptureFixture) -> None:
    answered = await Client(RequestIdMiddleware(failing)).request("GET", "/", {"x-request-id": request_id})
    assert "x-request-id" not in answered.headers
    assert caplog.messages == ["_fail failed"]


async def test_a_failure_is_logged_with_the_id_and_the_next_request_does_not_have_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Client(RequestIdMiddleware(failing))
    answered = await client.request("GET", "/", {"x-request-id": "7f3c"})
    assert (answered.status, answered.headers["x-request-id"]) == (500, "7f3c")
    await client.request("GET", "/", {})
    assert caplog.messages == ["_fail failed (request 7f3c)", "_fail failed"]


async def test_a_refused_handshake_bears_it() -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(Response(status_code=401), "no", scope, receive, send)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "websocket", "headers": [(b"x-request-id", b"7f3c")]}
    scope["extensions"] = {"websocket.http.response": {}}
    await RequestIdMiddleware(app)(scope, receive, send)
    assert (b"x-request-id", b"7f3c") in sent[0]["headers"]


async def test_an_id_does_not_outlive_its_request_in_a_task(caplog: pytest.LogCaptureFixture) -> None:
    async def request(*headers: tuple[bytes, bytes]) -> None:
        scope = {"type": "http", "path": "/", "headers": headers}
        await RequestIdMiddleware(failing)(scope, nothing, nowhere)

    async def nothing() -> Message:
        return {"type": "http.request"}

    async def nowhere(_: Message) -> None:
        pass

    await request((b"x-request-id", b"7f3c"))
    await request()  # by the task that has answered the one before, as uvicorn has it for requests sent ahead
    assert caplog.messages == ["_fail failed (request 7f3c)", "_fail failed"]
