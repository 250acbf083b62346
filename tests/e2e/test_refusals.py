"""What careless clients are told beside `loadtest.invalid_requests`, and what their sessions are left as."""

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.e2e.asking import open_session
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        ("sentiment", {"text": ""}),
        ("sentiment", {"generate": {}}),
        ("generation", {}),
        ("generation", {"text": "a", "generate": {}}),
        ("generation", {"generate": {"max_tokens": 0}}),
        ("generation", {"text": "\u4e2d"}),
        ("forecasting", {}),
        ("forecasting", {"horizon": 3}),
        ("forecasting", {"horizon": 10**30}),
        ("forecasting", {"values": {"a": [True, "2"]}}),
        ("generation", {"generate": {"top_k": 10**30}}),
        ("forecasting", {"values": {"a": [1], "b": [1, 2]}}),
        ("forecasting", {"values": {"a": [1]}, "horizon": 0}),
    ],
)
def test_a_refused_step_leaves_its_session_where_it_was(client: httpx.Client, model: str, inputs: object) -> None:
    session_id = open_session(client, model)
    response = client.post(f"/sessions/{session_id}/steps", json={"inputs": inputs})
    assert response.status_code == 422, response.text
    assert client.get(f"/sessions/{session_id}").json()["step"] == 0


@pytest.mark.parametrize("path", ["/sentiment", "/tag", "/generate", "/forecast", "/sessions"])
@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("multipart/form-data; boundary=x", b"abc"),
        ("multipart/form-data", b"--x"),
        ("application/x-www-form-urlencoded", b'{"text": "a"}'),
        ("application/vnd.bentoml+pickle", b"cos\nsystem\n."),
    ],
)
def test_a_body_that_is_not_sent_as_json_is_refused(
    client: httpx.Client, path: str, media_type: str, body: bytes
) -> None:
    response = client.post(path, content=body, headers={"Content-Type": media_type})
    assert response.status_code == 415
    assert response.json()["type"] == "urn:unrolled:problem:media-type-unknown"


def test_where_a_sessions_inputs_are_wrong_is_told_from_the_body_down(client: httpx.Client) -> None:
    session_id = open_session(client, "generation")
    body = {"inputs": {"generate": {"top_k": 66}}}
    problem = client.post(f"/sessions/{session_id}/steps", json=body).json()
    assert problem["errors"] == [
        {"location": ["inputs", "generate", "top_k"], "message": "the model knows 65 characters"}
    ]


@pytest.mark.parametrize("limit", ["0", "1001", "9" * 5000, "\u0663", "x", ""])
def test_a_page_has_a_size_within_limits(client: httpx.Client, limit: str) -> None:
    assert client.get("/sessions", params={"limit": limit}).status_code == 422


def test_a_connection_that_is_no_stream_is_answered_404(server: Server) -> None:
    for port in (server.port, server.fast_port):
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{port}/streams"):
            pass
        response = refused.value.response
        assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


def test_a_stream_is_no_page(client: httpx.Client, fast: httpx.Client) -> None:
    for port in (client, fast):
        response = port.get("/stream")
        assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")
        assert port.get("/steps").headers["allow"] == "POST"


def test_a_path_that_takes_other_methods_says_which(client: httpx.Client) -> None:
    response = client.put("/sessions/a")
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) >= {"GET"}
