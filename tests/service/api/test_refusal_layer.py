"""What BentoML and Starlette refuse, in the form of the path."""

import orjson
import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from service.api.problem import problem_response
from service.api.refusal_forms import refusal_response
from service.api.refusal_layer import RefusalMiddleware
from service.errors import ModelUnknown
from tests.fakes.asgi import Answered, Client, Socket

pytestmark = pytest.mark.anyio


async def rewritten(response: Response, path: str = "/sentiment") -> Answered:
    """What a client is sent in place of a response."""
    answered = await Client(RefusalMiddleware(response)).request("GET", path)
    assert int(answered.headers["content-length"]) == len(answered.body)
    return answered


def of_bentoml(detail: object) -> Response:
    """A refusal as BentoML sends it."""
    return Response(orjson.dumps({"detail": detail}), 400, media_type="application/json")


@pytest.mark.parametrize(
    ("status", "title", "detail"),
    [
        (400, "Bad Request", "Bad Request"),
        (404, "Not Found", "there is nothing at this path"),
        (405, "Method Not Allowed", "this path does not take this method"),
        (500, "Internal Server Error", "the service failed to answer; its log says why"),
        (502, "Bad Gateway", "the service failed to answer; its log says why"),
    ],
)
async def test_an_error_response_becomes_a_problem_of_its_status(status: int, title: str, detail: str) -> None:
    answered = await rewritten(PlainTextResponse("a secret", status, {"Allow": "GET"}))
    assert (answered.status, answered.headers["content-type"]) == (status, "application/problem+json")
    assert answered.headers["allow"] == "GET"
    assert answered.json() == {"type": "about:blank", "title": title, "status": status, "detail": detail}


@pytest.mark.parametrize(
    ("path", "accepted", "is_told"),
    [
        ("/generate", "text/event-stream", True),
        ("/sessions/x/steps", "text/event-stream", True),
        ("/generate", "*/*", False),
        ("/sentiment", "text/event-stream", False),
        ("/nothing", "text/event-stream", False),
    ],
)
async def test_an_event_source_is_told_how_events_are_asked_for(path: str, accepted: str, is_told: bool) -> None:
    app = RefusalMiddleware(PlainTextResponse("", 405, {"Allow": "POST"}))
    answered = await Client(app).request("GET", path, {"accept": accepted})
    assert (answered.status, answered.headers["allow"]) == (405, "POST")
    assert ('POST it with "stream": true' in answered.json()["detail"]) is is_told


@pytest.mark.parametrize("response", [PlainTextResponse("fine", 399), problem_response(ModelUnknown("none"))])
async def test_an_answer_and_a_problem_stay_as_they_are(response: Response) -> None:
    answered = await rewritten(response)
    assert (answered.status, answered.body) == (response.status_code, response.body)


async def test_fields_that_bentoml_refuses_are_told_as_ours() -> None:
    errors = [{"type": "missing", "loc": ["text"], "msg": "Field required"}, {"type": "a form that is unknown"}]
    answered = await rewritten(of_bentoml(errors))
    document = answered.json()
    assert (answered.status, document["title"]) == (422, "Invalid input")
    assert len(document["errors"]) == 1


async def test_json_that_bentoml_cannot_read_is_malformed() -> None:
    mistake = {"type": "json_invalid", "loc": [], "msg": "Invalid JSON: EOF while parsing"}
    answered = await rewritten(of_bentoml([mistake]))
    assert (answered.status, answered.json()["detail"]) == (400, "what was sent is not JSON: EOF while parsing")


@pytest.mark.parametrize("detail", [[], "a sentence", None, [{"msg": "half an error"}]])
async def test_what_names_no_field_is_a_problem_of_its_status(detail: object) -> None:
    assert (await rewritten(of_bentoml(detail))).json()["title"] == "Bad Request"


async def test_an_error_body_of_any_json_becomes_a_problem() -> None:
    assert (await rewritten(Response(b"[1]", 400))).json()["title"] == "Bad Request"


async def test_an_error_body_that_comes_in_pieces_is_read_whole() -> None:
    async def fail(_scope: Scope, _receive: Receive, send: Send) -> None:
        body = bytes(of_bentoml([{"type": "missing", "loc": ["text"], "msg": "Field required"}]).body)
        await send({"type": "http.response.start", "status": 400, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body[:9], "more_body": True})
        await send({"type": "http.response.body", "body": body[9:]})

    exchange = Client(RefusalMiddleware(fail)).begin("GET", "/sentiment", b"")
    assert (await exchange.answered()).json()["title"] == "Invalid input"
    assert len(exchange.sent) == 2


async def test_a_connection_is_handed_on_as_it_is() -> None:
    handed_on: list[Send] = []

    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        handed_on.append(send)

    socket = Socket(RefusalMiddleware(stream), "ann")
    await socket.task
    assert handed_on == [socket._send]


async def test_bentomls_probe_says_why_it_is_not_ready() -> None:
    answered = await rewritten(Response(b"\n", 503))
    assert (answered.json()["type"], answered.headers["retry-after"]) == ("urn:unrolled:problem:shutting-down", "1")


@pytest.mark.parametrize("path", ["/v2", "/v2/nothing"])
async def test_on_the_open_inference_protocols_paths_it_has_that_form(path: str) -> None:
    answered = await rewritten(PlainTextResponse("a secret", 404), path)
    assert (answered.status, answered.json()) == (404, {"error": "there is nothing at this path"})
    ours = refusal_response(path, ModelUnknown("none"))
    assert (await rewritten(ours, path)).body == bytes(ours.body) == b'{"error":"none"}'
