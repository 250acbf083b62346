"""The bundle of docs/own-weights.md, verified and imported by its commands, served by the real service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from tests.e2e.asking import http_client
from tests.e2e.server import Server, environment
from tests.own_weights import Recurrent, blocks, write_bundle
from tests.paths import ROOT

WORDS = ["[UNK]", *["where", "is", "my", "order", "please", "thank", "you", "very", "much", "for", "a", "question"]]
TEXT = "where is my order please thank you very much for my question a is very order where please"

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recurrent, Path]:
    """Somebody's classifier, and the directory with the page's bundle of it."""
    directory = tmp_path_factory.mktemp("elsewhere")
    return write_bundle(directory, WORDS), directory


@pytest.fixture(scope="module")
def client(network: tuple[Recurrent, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service that serves the bundle alone."""
    home = tmp_path_factory.mktemp("home")
    assert ".venv/bin/python -m export import mails\n" in blocks("bash")[1]
    imported = [sys.executable, "-m", "export", "import", str(network[1] / "mails")]
    subprocess.run(imported, cwd=ROOT, env=environment(home), check=True)  # noqa: S603
    with (
        Server(home, settings={"UNROLLED_BUNDLES": "mails:latest"}) as server,
        http_client(server.fast_url) as opened,
    ):
        yield opened


def open_session(client: httpx.Client) -> str:
    session_id: str = client.post("/sessions", json={"model": "mails"}).raise_for_status().json()["session_id"]
    return session_id


def step(client: httpx.Client, session_id: str, inputs: dict[str, object], **options: str) -> dict[str, object]:
    answer = client.post(f"/sessions/{session_id}/steps", json={"inputs": inputs, **options})
    outputs: dict[str, object] = answer.raise_for_status().json()["outputs"]
    return outputs


def test_the_service_says_where_the_weights_come_from(client: httpx.Client) -> None:
    model = client.get("/models/mails").raise_for_status().json()
    told = json.loads(blocks("json")[1])
    assert model["licence"] == told["licence"]
    assert [{key: each[key] for key in told["data"][0]} for each in model["data"]] == told["data"]
    assert model["figures"] == []


def test_a_text_gets_the_probabilities_of_its_network(client: httpx.Client, network: tuple[Recurrent, Path]) -> None:
    (result,) = client.post("/sentiment", json={"text": [TEXT]}).raise_for_status().json()["results"]
    ids = torch.tensor([[WORDS.index(word) for word in TEXT.split()]])
    with torch.no_grad():
        expected = network[0](ids)[0, -1].softmax(0)
    found = [result["probabilities"][label] for label in ("order", "question", "thanks")]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_session_cut_anywhere_gets_the_bits_of_the_whole_text(client: httpx.Client) -> None:
    whole = client.post("/sentiment", json={"text": [TEXT]}).raise_for_status().json()["results"][0]
    session_id = open_session(client)
    for start in range(0, len(TEXT), 5):
        outputs = step(client, session_id, {"text": TEXT[start : start + 5]})
    assert outputs["probabilities"] == whole["probabilities"]


def test_sessions_in_bulk_get_the_bits_that_each_gets_alone(client: httpx.Client) -> None:
    rng = np.random.default_rng(1)
    inputs = [{"ids": rng.integers(len(WORDS), size=length).tolist()} for length in (1, 3, 5, 5, 5, 16, 21)]
    alone = [step(client, open_session(client), each, **{"return": "logits"}) for each in inputs]
    items = [{"session_id": open_session(client), "inputs": each, "return": "logits"} for each in inputs]
    answers = client.post("/steps", json={"items": items}).raise_for_status().json()["items"]
    assert [answer["outputs"] for answer in answers] == alone
