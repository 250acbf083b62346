"""What careless clients are told, and that nobody else notices."""

import json

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.e2e.asking import open_session
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e

REFUSALS: list[tuple[str, str, int]] = [
    ("/sentiment", '{"text": ', 400),
    ("/sentiment", "", 422),
    ("/sentiment", "[]", 422),
    ("/sentiment", '{"text": ""}', 422),
    ("/sentiment", '{"text": " \\n "}', 422),
    ("/sentiment", '{"text": ["good", ""]}', 422),
    ("/sentiment", '{"text": []}', 422),
    ("/sentiment", '{"text": 5}', 422),
    ("/sentiment", '{"text": "a", "trajectory": "yes"}', 422),
    ("/sentiment", json.dumps({"text": ["word " * 13_000] * 9}), 422),
    ("/sentiment", '{"text": "a", "txt": "b"}', 422),
    ("/sentiment", '{"text": "\\ud800"}', 400),
    ("/sentiment", json.dumps({"text": "word " * 200_000}), 422),
    ("/sentiment", json.dumps({"text": "a" * 1001}), 422),
    ("/sentiment", "[" * 100_000, 400),
    ("/sentiment", json.dumps({"text": "a" * 9_000_000}), 413),
    ("/generate", '{"prompt": "a", "max_tokens": 0}', 422),
    ("/generate", '{"prompt": "a", "max_tokens": 4097}', 422),
    ("/generate", '{"prompt": "a", "temperature": -1}', 422),
    ("/generate", '{"prompt": "a", "temperature": NaN}', 422),
    ("/generate", '{"prompt": "a", "top_p": 0}', 422),
    ("/generate", '{"prompt": "a", "top_k": 0}', 422),
    ("/generate", '{"prompt": "a", "top_k": 66}', 422),
    ("/generate", '{"prompt": "a", "top_k": 1000000000000000000000000000000}', 422),
    ("/generate", '{"prompt": "a", "max_tokens": true}', 422),
    ("/generate", '{"prompt": "a", "temperature": "0.5"}', 422),
    ("/generate", '{"prompt": "a", "seed": -1}', 422),
    ("/generate", '{"prompt": "a", "stop": [""]}', 422),
    ("/generate", '{"prompt": "\\u4e2d", "stream": true}', 422),
    ("/forecast", '{"series": {}}', 422),
    ("/forecast", '{"series": {"a": []}}', 422),
    ("/forecast", '{"series": {"a": [1, NaN]}}', 422),
    ("/forecast", '{"series": {"a": [1, Infinity]}}', 422),
    ("/forecast", '{"series": {"a": [1e300]}}', 422),
    ("/forecast", '{"series": {"a": ["x"]}}', 422),
    ("/forecast", '{"series": {"a": [1, 2], "b": [1]}}', 422),
    ("/forecast", '{"series": {"a": [1]}, "horizon": 0}', 422),
    ("/forecast", '{"series": {"a": [1]}, "horizon": 721}', 422),
    ("/forecast", '{"series": {"a": [1]}, "quantiles": [1.5]}', 422),
    ("/forecast", '{"series": {"a": [1]}, "quantiles": [0.001]}', 422),
    ("/sessions", '{"model": "nobody"}', 404),
    ("/sessions", '{"model": "sentiment", "ttl_seconds": 0}', 422),
    ("/sessions", "{", 400),
    ("/sessions/nobody/steps", '{"inputs": {}}', 404),
    ("/nothing", "{}", 404),
    ("/models", "{}", 405),
]


@pytest.mark.parametrize(("path", "body", "status"), REFUSALS, ids=lambda value: str(value)[:40])
def test_bad_input_is_refused_with_the_reason(client: httpx.Client, path: str, body: str, status: int) -> None:
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert client.get("/readyz").status_code == 200


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
