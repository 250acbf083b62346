"""The service as operators meet it."""

import os
import re
import signal
import time
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from service.api.endpoints import ENDPOINTS
from tests.e2e.asking import ask, open_session, step
from tests.e2e.exposition import ARRIVAL_SECONDS, await_metric, metrics
from tests.e2e.server import Server
from tests.e2e.workers import client_of_each
from tests.waiting import until

pytestmark = pytest.mark.e2e
METHODS = frozenset({"get", "put", "post", "delete"})


def test_models_are_described(client: httpx.Client) -> None:
    models = {model["name"]: model for model in client.get("/models").json()["models"]}
    assert {"sentiment", "generation", "forecasting"} <= set(models)
    for model in models.values():
        assert model["bundle"] == f"{model['name']}:{model['version']}"
        assert model["figures"]
        assert model["data"][0]["licence"]
        assert model["inputs"]["properties"]


@pytest.mark.parametrize(
    ("model", "steps"),
    [
        ("sentiment", [{"text": "a wond"}]),
        ("generation", [{"text": "ROMEO"}, {"generate": {"max_tokens": 3}}]),
        ("forecasting", [{"values": {"OT": [30.5, 27.8]}}, {"horizon": 2}]),
        ("chorales", [{"notes": [["C3", "E4"]]}, {"generate": {"frames": 2}}]),
        ("tagging-streaming", [{"text": "The old dog"}]),
    ],
)
def test_what_a_step_answers_is_what_its_model_says(
    client: httpx.Client, model: str, steps: list[dict[str, Any]]
) -> None:
    told = Draft202012Validator(client.get(f"/models/{model}").json()["outputs"])
    session_id = open_session(client, model)
    for inputs in steps:
        told.validate(step(client, session_id, inputs))


def test_one_openapi_document_describes_every_surface(client: httpx.Client) -> None:
    document = client.get("/docs.json").json()
    paths = {"/sentiment", "/tag", "/generate", "/forecast", "/sessions", "/sessions/{session_id}/steps", "/models"}
    assert paths <= set(document["paths"])
    references = set(_references(document))
    assert references
    for reference in references:
        node: Any = document
        for key in reference.removeprefix("#/").split("/"):
            node = node[key]


def test_the_document_is_whole_and_what_it_lists_is_served(client: httpx.Client, fast: httpx.Client) -> None:
    document = client.get("/docs.json").json()
    assert document == fast.get("/docs.json").json()
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"]
    assert document["info"]["version"]
    operations = [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations:
        assert set(operation["tags"]) < tags, path
        declared = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), path
        assert all(answer["description"] for answer in operation["responses"].values()), path
        for port in (client, fast):
            answer = port.request(method, path.replace("{session_id}", "nobody"), content=b"{")
            assert answer.status_code not in (405, 500, 501), (path, method)
            assert "nothing at this path" not in answer.text, (path, method)
    documented = {re.sub(r"{session_id}", "{id}", path) for path, _, _ in operations}
    pages = {"/", "/static_content", "/docs.json", "/stream", "/ui"}
    assert {endpoint.label for endpoint in ENDPOINTS} == documented | pages


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    return [found for value in node for found in _references(value)] if isinstance(node, list) else []


def test_metrics_count_what_happens_on_either_worker(client: httpx.Client, pair: list[httpx.Client]) -> None:
    steps, sentiment = (
        f'rnn_requests_total{{code="200",endpoint="{path}"}}' for path in ("/sessions/{id}/steps", "/sentiment")
    )
    before = metrics(client)
    ask(client, "/sentiment", {"text": "fine"})
    session_id = open_session(client, "generation")
    for worker in pair * 3:
        step(worker, session_id, {"text": "a"})
    for asked in (client, *pair):
        await_metric(asked, steps, before.get(steps, 0) + 6)
        await_metric(asked, sentiment, before.get(sentiment, 0) + 1)
        after = metrics(asked)
        assert after[steps] == before.get(steps, 0) + 6
        assert after['rnn_request_duration_seconds_count{endpoint="/sessions/{id}/steps"}'] >= after[steps]
        assert after["rnn_sessions_active"] == before["rnn_sessions_active"] + 1
        assert after["rnn_state_bytes"] >= 4096
        assert any(name.startswith("rnn_batch_rows_bucket") and value for name, value in after.items())
    assert session_id not in client.get("/metrics").text


def test_a_worker_that_was_stopped_was_late_once_not_many_times_whichever_is_asked(server: Server) -> None:
    name = "rnn_event_loop_delay_seconds"

    def num_late(client: httpx.Client) -> float:
        """How often an event loop was late by more than 2.5 seconds."""
        found = metrics(client)
        return found[f"{name}_count"] - found[f'{name}_bucket{{le="2.5"}}']

    with client_of_each(server) as clients:
        (stopped, own), (_, other) = clients.items()
        before = num_late(other)
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(4)
        os.kill(stopped, signal.SIGCONT)
        await_metric(own, f"{name}_count", metrics(own)[f"{name}_count"] + 20)
        until(lambda: num_late(other) > before, ARRIVAL_SECONDS, "the delay is counted")
        for asked in (own, other):  # other pauses may come; were each timer of the four seconds due, it would be 15
            assert before + 1 <= num_late(asked) < before + 5


def test_probes_answer(client: httpx.Client) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


QUESTIONS: list[tuple[str, dict[str, object], int]] = [
    ("/sentiment", {"text": ["a fine film", "dull"], "trajectory": True}, 200),
    ("/sentiment", {"text": ""}, 422),
    ("/sentiment", {"text": "a fine film", "model": "nobody"}, 404),
    ("/tag", {"text": "I like it."}, 200),
    ("/translate", {"text": "a man rides a bike", "to": "de", "attention": True}, 200),
    ("/generate", {"prompt": "To be", "max_tokens": 8, "seed": 3}, 200),
    ("/generate", {"prompt": "To be", "max_tokens": 8, "seed": 3, "stream": True}, 200),
    ("/compose", {"notes": [[60]], "seed": 1, "frames": 8, "format": "midi"}, 200),
    ("/forecast", {"series": {"a": [1.0, 2.0]}, "horizon": 3}, 200),
    ("/caption", {"image": [[0, 0, 0, 16, 16, 0, 0, 0]] * 8, "seed": 1}, 200),
]


@pytest.mark.parametrize(("path", "question", "status"), QUESTIONS)
def test_both_ports_answer_a_question_alike(
    client: httpx.Client, fast: httpx.Client, path: str, question: dict[str, object], status: int
) -> None:
    ours, theirs = (each.post(path, json=question) for each in (fast, client))
    assert (ours.status_code, theirs.status_code) == (status, status), ours.text
    assert ours.content == theirs.content
    for name in ("content-type", "content-disposition"):
        assert ours.headers.get(name) == theirs.headers.get(name)
