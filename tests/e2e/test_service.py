"""The service as operators and careless clients meet it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.asking import ask, open_session, step
from tests.e2e.server import ROOT, Server, environment, free_port

pytestmark = pytest.mark.e2e


def test_models_are_described(client: httpx.Client) -> None:
    models = {model["name"]: model for model in client.get("/models").json()["models"]}
    assert set(models) == {"sentiment", "generation", "forecasting"}
    for model in models.values():
        assert model["bundle"] == f"{model['name']}:{model['version']}"
        assert model["figures"]
        assert model["data"][0]["licence"]
        assert model["inputs"]["properties"]


def test_one_openapi_document_describes_every_surface(client: httpx.Client) -> None:
    document = client.get("/docs.json").json()
    assert {"/sentiment", "/generate", "/forecast", "/sessions", "/sessions/{session_id}/steps", "/models"} <= set(
        document["paths"]
    )
    references = set(_references(document))
    assert references
    for reference in references:
        node: Any = document
        for key in reference.removeprefix("#/").split("/"):
            node = node[key]


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    return [found for value in node for found in _references(value)] if isinstance(node, list) else []


def test_metrics_count_what_happened(client: httpx.Client) -> None:
    ask(client, "/sentiment", {"text": "fine"})
    session_id = open_session(client, "generation")
    step(client, session_id, {"text": "a"})
    exposition = client.get("/metrics").text
    values = {name: float(value) for name, _, value in (line.rpartition(" ") for line in exposition.splitlines())
              if not name.startswith("#")}  # fmt: skip
    assert values['rnn_requests_total{code="200",endpoint="/sentiment"}'] >= 1
    assert values['rnn_request_duration_seconds_count{endpoint="/sessions/{id}/steps"}'] >= 1
    assert values["rnn_sessions_active"] >= 1
    assert values["rnn_state_bytes"] >= 4096
    assert any(name.startswith("rnn_batch_rows_bucket") and value for name, value in values.items())
    assert session_id not in exposition


def test_probes_answer(client: httpx.Client) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


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


@pytest.mark.parametrize("path", ["/sentiment", "/generate", "/forecast", "/sessions"])
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


def test_a_client_that_hangs_up_stops_its_work(client: httpx.Client) -> None:
    session_id = open_session(client, "generation")
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"/sessions/{session_id}/steps", json={"inputs": {"generate": {"max_tokens": 4096}}}, timeout=0.05)
    ask(client, "/generate", {"max_tokens": 64})
    before = client.get("/metrics").text
    ask(client, "/sentiment", {"text": "fine"})
    assert _generated(client.get("/metrics").text) == _generated(before)
    assert client.get(f"/sessions/{session_id}").json()["step"] == 0


def _generated(exposition: str) -> str:
    return next(line for line in exposition.splitlines() if line.startswith("rnn_generated_tokens_total"))


def test_where_a_sessions_inputs_are_wrong_is_told_from_the_body_down(client: httpx.Client) -> None:
    session_id = open_session(client, "generation")
    body = {"inputs": {"generate": {"top_k": 66}}}
    problem = client.post(f"/sessions/{session_id}/steps", json=body).json()
    assert problem["errors"] == [
        {"location": ["inputs", "generate", "top_k"], "message": "the model knows 65 characters"}
    ]


def test_a_large_answer_is_repeated_too(client: httpx.Client) -> None:
    session_id = open_session(client, "forecasting")
    levels = [level / 20 for level in range(1, 20)]
    body = {"step": 0, "inputs": {"values": {"a": [1, 2.5]}, "horizon": 720, "quantiles": levels}}
    first, again = (client.post(f"/sessions/{session_id}/steps", json=body) for _ in range(2))
    assert len(first.content) > 64 * 1024
    assert (again.status_code, again.content) == (200, first.content)


@pytest.mark.parametrize("limit", ["0", "1001", "9" * 5000, "\u0663", "x", ""])
def test_a_page_has_a_size_within_limits(client: httpx.Client, limit: str) -> None:
    assert client.get("/sessions", params={"limit": limit}).status_code == 422


def test_a_path_that_takes_other_methods_says_which(client: httpx.Client) -> None:
    response = client.put("/sessions/a")
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) >= {"GET"}


def test_channels_of_a_session_stay_the_same(client: httpx.Client) -> None:
    session_id = open_session(client, "forecasting")
    step(client, session_id, {"values": {"a": [1, 2], "b": [3, 4]}})
    for values in ({"a": [1]}, {"a": [1], "c": [1]}, {"a": [1], "b": [1], "c": [1]}):
        response = client.post(f"/sessions/{session_id}/steps", json={"inputs": {"values": values}})
        assert response.status_code == 422


def test_steps_are_numbered_conflicts_say_what_is_next_and_ends_are_remembered(client: httpx.Client) -> None:
    session_id = open_session(client, "sentiment")
    path = f"/sessions/{session_id}"
    first = client.post(f"{path}/steps", json={"step": 0, "inputs": {"text": "so "}})
    assert first.json()["step"] == 1
    assert client.post(f"{path}/steps", json={"step": 0, "inputs": {"text": "so "}}).json() == first.json()
    conflict = client.post(f"{path}/steps", json={"step": 0, "inputs": {"text": "other"}})
    assert (conflict.status_code, conflict.json()["expected_step"]) == (409, 1)
    assert client.get(path).json()["step"] == 1
    assert client.delete(path).status_code == 204
    gone = client.get(path)
    assert (gone.status_code, gone.json()["reason"]) == (410, "ended")


def test_a_taken_port_is_an_error_that_names_it(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = _started(home, UNROLLED_PORT=port)
    assert done.returncode != 0
    assert f"port {port}" in done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("UNROLLED_HOST", "0.0.0.0", "UNROLLED_ALLOW_UNAUTHENTICATED"),  # noqa: S104  that is what is refused
        ("UNROLLED_PROT", "3000", "unknown settings"),
        ("UNROLLED_PORT", "x", "valid integer"),
        ("UNROLLED_STORE", "carrier-pigeon://x", "no store of kind 'carrier-pigeon'"),
        ("UNROLLED_PROVIDER", "tpu", "Input should be 'cpu' or 'cuda'"),
        ("UNROLLED_BUNDLES", "nobody:latest", "no Models with name 'nobody'"),
        ("UNROLLED_SESSION_TTL_SECONDS", "99999999", "is over UNROLLED_MAX_SESSION_TTL_SECONDS"),
    ],
)
def test_a_setting_that_cannot_be_meant_stops_the_start(home: Path, setting: str, value: str, reason: str) -> None:
    done = _started(home, **{setting: value})
    assert done.returncode != 0
    assert reason in done.stderr


def test_a_damaged_copy_in_the_model_store_stops_the_start_and_says_what_to_do(home: Path) -> None:
    with Server(home, free_port()):
        pass
    (weights,) = (home / "models" / "sentiment").glob("*/weights.bin")
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    done = _started(home, UNROLLED_PORT=str(free_port()))
    assert done.returncode != 0
    assert "bentoml models delete sentiment:" in done.stderr


def _started(home: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "service"],
        cwd=ROOT,
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_sigterm_stops_every_process_and_frees_the_port_whoever_has_hung_up(home: Path) -> None:
    with Server(home, free_port()) as server:
        pids = _descendants(server.process.pid)
        assert pids
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/generate", json={"max_tokens": 4096}, timeout=0.05)
        with httpx.stream("POST", f"{server.url}/generate", json={"max_tokens": 4096, "stream": True}) as response:
            assert next(response.iter_lines()) == "event: text"
        server.stop()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", server.port)) != 0
    assert [pid for pid in pids if _is_running(pid)] == []


def _descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in _descendants(child))]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
