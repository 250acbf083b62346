"""All surfaces together: what is declared is what is answered, on either port."""

from collections.abc import AsyncIterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message

from service.api.application import Application, check_apis
from service.api.body_reader import MAX_PARTS
from service.api.endpoint import Endpoint
from service.api.endpoints import (
    ENDPOINTS,
    GENERATE,
    JUDGE_SENTIMENT,
    LIST_MODELS,
    LIST_SESSIONS,
    LIVEZ,
    OPEN_SESSION,
    PAGE,
    PAGE_FILES,
    QUESTIONS,
    SHOW_SERVED_MODEL,
    STREAM,
    TAKE_STEP,
    TAKE_STEPS,
)
from service.api.routes import Unbound
from service.forms.sessions import SessionRequest
from service.keys.keys import ANONYMOUS
from service.questions import Questions
from service.reload import Reloader
from service.settings import Settings
from tests.fakes.asgi import Answered, Client
from tests.fakes.process import Process
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
BENTOML = PlainTextResponse("BentoML's")


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    """One worker's core."""
    async with Process(FaultyStore()) as opened:
        yield opened


def put_together(process: Process) -> Application:
    """All surfaces over it."""
    catalog, metrics = process.catalog, process.metrics
    reloader = Reloader(catalog, FaultyStore(), "a", ())
    questions = Questions(catalog, metrics, process.core.open_answers, process.core.answer_room)
    return Application(process.core, catalog, reloader, questions, metrics, None, Settings(), lambda: True)


async def asked(app: ASGIApp, method: str, path: str) -> Answered:
    """The answer to a request with ids that nothing has."""
    return await Client(app).begin(method, path.format(session_id="nobody", name="nobody", version="0"), b"").answered()


async def test_what_is_declared_is_answered_on_the_second_port(process: Process) -> None:
    app = put_together(process).plain
    for endpoint in set(ENDPOINTS) - {PAGE, PAGE_FILES}:
        answer = await asked(app, endpoint.method, endpoint.path)
        assert answer.status != 405, endpoint
        assert b"nothing at this path" not in answer.body, endpoint


async def test_what_would_hold_the_loop_is_refused_on_both_ports(process: Process) -> None:
    application = put_together(process)
    body = b'{"text":[' + b"[]," * MAX_PARTS + b"1]}"
    for app in (application.plain, application.around(BENTOML)):
        for path in ("/sentiment", "/steps", "/sessions"):
            assert (await Client(app).post(path, body)).status == 413, path


async def test_on_bentomls_port_bentoml_answers_what_is_declared_as_its_own_and_nothing_else(
    process: Process,
) -> None:
    app = put_together(process).around(BENTOML)
    theirs = [
        endpoint for endpoint in ENDPOINTS if (await asked(app, endpoint.method, endpoint.path)).body == BENTOML.body
    ]
    assert theirs == [endpoint for endpoint in ENDPOINTS if endpoint.is_left_to_bentoml and endpoint is not PAGE]
    assert b"swagger" in (await asked(app, PAGE.method, PAGE.path)).body


async def test_who_asks_in_another_way_is_told_the_declared_methods(process: Process) -> None:
    app = put_together(process).plain
    methods: dict[str, set[str]] = {}
    for endpoint in set(ENDPOINTS) - {PAGE, PAGE_FILES, STREAM}:
        also = {"HEAD"} if endpoint.method == "GET" else set[str]()
        methods.setdefault(endpoint.path, set()).update({endpoint.method}, also)
    for path, declared in methods.items():
        answer = await asked(app, "PATCH", path)
        assert answer.status == 405, path
        assert set(answer.headers["allow"].split(", ")) == declared, path


FORM = {"content-type": "application/x-www-form-urlencoded"}


async def test_a_mistyped_path_and_a_wrong_method_are_told_as_such_whatever_type_the_body_has(process: Process) -> None:
    for app in (put_together(process).plain, put_together(process).around(BENTOML)):
        refused = await Client(app).begin("POST", "/models", b"{}", FORM).answered()
        assert (refused.status, set(refused.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
        assert (await Client(app).begin("POST", "/modles", b"{}", FORM).answered()).body != b""
    plain = Client(put_together(process).plain)
    refused = await plain.begin("PUT", "/sentiment", b"{}", FORM).answered()
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert (await plain.begin("POST", "/sentimnet", b"{}", FORM).answered()).status == 404


@pytest.mark.parametrize(
    "endpoint",
    [GENERATE, JUDGE_SENTIMENT, LIST_MODELS, SHOW_SERVED_MODEL, LIST_SESSIONS, OPEN_SESSION, TAKE_STEP, TAKE_STEPS],
)
async def test_a_parameter_of_the_query_is_refused_where_there_is_none(process: Process, endpoint: Endpoint) -> None:
    """`/generate?max_tokens=5` would write 200 characters."""
    application = put_together(process)
    for app in (application.plain, application.around(BENTOML)):
        refused = await Client(app).begin(endpoint.method, f"{endpoint.path}?max_tokens=5", b"{}").answered()
        assert (refused.status, refused.json()["errors"][0]["location"]) == (422, ["max_tokens"])


@pytest.mark.parametrize("path", ["/v1/models?of=mine", "/v2?verbose=1", "/v2/health/live?x=1", "/livez?x=1"])
async def test_protocols_of_others_take_any_query(process: Process, path: str) -> None:
    application = put_together(process)
    for app in (application.plain, application.around(BENTOML)):
        assert (await Client(app).begin("GET", path, b"").answered()).status == 200


@pytest.mark.parametrize("path", ["/v1/completions", "/v2/models/m/infer"])
async def test_so_do_questions_in_their_form(process: Process, path: str) -> None:
    application = put_together(process)
    for app in (application.plain, application.around(BENTOML)):
        plainly, answered = [await asked(app, "POST", path + query) for query in ("", "?x=1")]
        assert answered.body == plainly.body


async def never() -> Message:
    """A server that would tell the client to send its body (`Expect: 100-continue`) if it were asked for it."""
    raise AssertionError


@pytest.mark.parametrize("path", ["/sentiment", "/sessions/x/steps", "/steps", "/v2/models/x/infer", "/v1/completions"])
@pytest.mark.parametrize(
    ("field", "status"),
    [
        ((b"content-length", b"9999999999"), 413),
        ((b"content-type", b"text/plain"), 415),
        ((b"content-encoding", b"br"), 415),
    ],
)
async def test_a_body_that_is_refused_by_its_head_is_not_asked_for(
    process: Process, path: str, field: tuple[bytes, bytes], status: int
) -> None:
    application = put_together(process)
    for app in (application.plain, application.around(BENTOML)):
        sent: list[Message] = []

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        await app({**scope, "http_version": "1.1", "headers": [field]}, never, send)
        assert sent[0]["status"] == status


async def test_a_page_of_another_origin_is_refused_on_either_port(process: Process) -> None:
    application = put_together(process)
    for app in (application.plain, application.around(BENTOML)):
        for path, form in (("/sessions", "application/problem+json"), ("/v2/models/sum/infer", "application/json")):
            exchange = Client(app).begin("POST", path, b"{}", {"origin": "https://evil.example"})
            answer = await exchange.answered()
            assert (answer.status, answer.headers["content-type"]) == (403, form)


@pytest.mark.parametrize("rest", ["", "checkpoints/", "/"])
async def test_a_deletion_is_not_led_on_by_a_slash(process: Process, rest: str) -> None:
    application = put_together(process)
    session_id = (await process.openings.create(ANONYMOUS, SessionRequest(model="sum"))).session_id
    for app in (application.plain, application.around(BENTOML)):
        answer = await asked(app, "DELETE", f"/sessions/{session_id}/{rest}")
        assert (answer.status, answer.headers.get("location")) == (404, None)
        assert answer.headers["content-type"] == "application/problem+json"
        led_on = await asked(app, "GET", f"/sessions/{session_id}/")
        assert (led_on.status, led_on.headers["location"]) == (307, f"../{session_id}")
    await process.sessions.get(ANONYMOUS, session_id)


async def test_a_worker_does_not_start_where_nothing_answers_what_is_declared(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.application.ENDPOINTS", (*ENDPOINTS, Endpoint("GET", "/more")))
    with pytest.raises(Unbound, match=r"^declared in service/api/endpoints.py, but without a handler: GET /more$"):
        put_together(process)


async def test_a_worker_does_not_start_where_something_answers_what_is_not_declared(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.application.ENDPOINTS", set(ENDPOINTS) - {LIVEZ})
    with pytest.raises(Unbound, match=r"^with a handler, but not declared in service/api/endpoints.py: GET /livez$"):
        put_together(process)


async def test_a_worker_does_not_start_where_two_answer_the_same(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.models.ModelRoutes.handlers", lambda _: {LIVEZ: None})
    with pytest.raises(Unbound, match=r"^answered twice: GET /livez$"):
        put_together(process)


def test_bentoml_has_an_api_for_each_declared_question_and_for_nothing_else() -> None:
    paths = {each.path for each in ENDPOINTS if each.is_left_to_bentoml and each.tag == QUESTIONS}
    check_apis(paths)
    with pytest.raises(Unbound, match=r"^declared in .*, but without a @bentoml.api in service/app.py: POST /tag$"):
        check_apis(paths - {"/tag"})
    with pytest.raises(Unbound, match=r"^with a @bentoml.api in service/app.py, but not declared in .*: /rate$"):
        check_apis(paths | {"/rate"})
