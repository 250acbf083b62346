"""Labels of the request metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.auth import OPEN_PATHS
from service.api.measure import KNOWN, MeasureMiddleware, endpoint_of
from service.api.openapi import OPERATIONS
from service.api.plain import STREAM
from service.api.playground import UI
from service.api.question_routes import QuestionRoutes
from service.metrics import Metrics
from service.questions import Questions
from tests.fakes.asgi import Client


@pytest.mark.parametrize("path", sorted({operation.path for operation in OPERATIONS}))
def test_every_documented_path_has_a_label_of_its_own(path: str) -> None:
    assert endpoint_of(path.replace("{session_id}", "a1-_b2")) == path.replace("{session_id}", "{id}")


def test_labels_are_those_of_all_that_is_served() -> None:
    questions = QuestionRoutes(Questions({}, Metrics(), 1.0), 1024).by_path
    documented = (operation.path.replace("{session_id}", "{id}") for operation in OPERATIONS)
    assert {*questions, *documented, *OPEN_PATHS, STREAM, UI, "/docs.json", "/"} == KNOWN


@pytest.mark.parametrize("path", ["/nothing", "/sessions/a/b", "/sessions/a/steps/b", "/sentiment/"])
def test_paths_that_are_not_served_share_one_label(path: str) -> None:
    assert endpoint_of(path) == "other"


PARTS = st.sampled_from(
    [
        "sessions",
        "steps",
        "checkpoints",
        "v2",
        "repository",
        "models",
        "load",
        "versions",
        "infer",
        "",
        "import",
        "ab-_",
    ]
)


@given(st.lists(PARTS | st.text(max_size=5), max_size=6).map(lambda parts: "/" + "/".join(parts)))
def test_whatever_is_asked_for_labels_stay_few(path: str) -> None:
    assert endpoint_of(path) in KNOWN | {"other"}


def test_paths_with_ids_share_the_label_of_their_kind() -> None:
    assert endpoint_of("/sessions/x/checkpoints/y") == "/sessions/{id}/checkpoints/{name}"
    assert endpoint_of("/v2/repository/models/sum/load") == "/v2/repository/models/{name}/load"
    assert endpoint_of("/v2/models/sum/infer") == "/v2/models/{name}/infer"
    assert endpoint_of("/v2/models/sum/versions/0/infer") == "/v2/models/{name}/versions/{version}/infer"
    assert endpoint_of("/sessions/import") == "/sessions/import"


@pytest.mark.anyio
async def test_each_request_is_counted_with_the_status_that_was_sent_and_a_failure_as_500() -> None:
    metrics = Metrics()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/":
            raise RuntimeError("the application failed")
        await Response(status_code=204)(scope, receive, send)

    client = Client(MeasureMiddleware(app, metrics.requests_tally))
    await client.post("/steps", b"")
    with pytest.raises(RuntimeError):
        await client.post("/", b"")
    metrics.flush()
    sample = metrics.registry.get_sample_value
    assert sample("rnn_requests_total", {"endpoint": "/steps", "code": "204"}) == 1
    assert sample("rnn_requests_total", {"endpoint": "/", "code": "500"}) == 1
