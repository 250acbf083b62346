"""OpenAI's paths: which there are, and how they refuse."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.api.auth import AuthMiddleware
from service.api.openai.routes import COMPLETIONS, MODELS
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.keys.key_file import add_key
from service.keys.keys import Keys
from service.tasks.generation import GenerationModel
from tests.fakes.asgi import MAX_BYTES, Client, Surface
from tests.fakes.clock import Clock
from tests.fakes.graphs import RecordingObserver
from tests.fakes.process import Process
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
ENTRY = {"id": "generation", "object": "model", "created": 0, "owned_by": "unrolled"}


@pytest.fixture
async def process(generation: Runtime) -> AsyncIterator[Process]:
    """A process that serves a model that generates and one that does not."""
    async with Process(FaultyStore()) as opened:
        opened.catalog.add(GenerationModel(generation.bundle, Engine(generation, RecordingObserver())))
        opened.catalog.make_current(generation.bundle.tag)
        yield opened


async def test_models_that_generate_are_listed(surface: Surface) -> None:
    answered = await surface.client.request("GET", MODELS)
    assert (answered.status, answered.headers["content-type"]) == (200, "application/json")
    assert answered.json() == {"object": "list", "data": [ENTRY]}


async def test_a_model_is_found_by_its_name(surface: Surface) -> None:
    answered = await surface.client.request("GET", f"{MODELS}/generation")
    assert (answered.status, answered.json()) == (200, ENTRY)


@pytest.mark.parametrize("name", ["nobody", "sum", "", "generation/x"])
async def test_another_model_is_not_found_wherever_it_is_asked_for(surface: Surface, name: str) -> None:
    looked_at = await surface.client.request("GET", f"{MODELS}/{name}")
    asked = await surface.client.post(COMPLETIONS, {"model": name})
    assert looked_at.status == asked.status == 404
    assert looked_at.json() == asked.json()
    error = asked.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_not_found")
    assert "['generation']" in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", COMPLETIONS, "POST"),
        ("POST", MODELS, "GET, HEAD"),
        ("DELETE", f"{MODELS}/generation", "GET, HEAD"),
        ("POST", f"{MODELS}/", "GET, HEAD"),
    ],
)
async def test_a_path_that_takes_other_methods_says_which(
    surface: Surface, method: str, path: str, allowed: str
) -> None:
    answered = await surface.client.request(method, path)
    assert (answered.status, answered.headers["allow"]) == (405, allowed)
    assert answered.json()["error"]["code"] == "method_not_supported"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/", "/v1/completions/", "/v1/modelsx"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_paths_that_are_not_there_say_what_is(surface: Surface, method: str, path: str) -> None:
    answered = await surface.client.request(method, path)
    assert answered.status == 404
    error = answered.json()["error"]
    assert (error["param"], error["code"]) == (None, "unknown_url")
    assert COMPLETIONS in error["message"]


@pytest.mark.parametrize("path", ["/v1/steps", "/v1/x/steps"])
async def test_a_path_that_ends_like_a_step_is_no_step(surface: Surface, path: str) -> None:
    assert (await surface.client.post(path, {})).json()["error"]["code"] == "unknown_url"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "malformed"),
        (b"\xff\x00", {}, 400, "malformed"),
        (b"[]", {}, 400, "invalid_input"),
        (b"{}", {"content-type": "text/plain"}, 415, "media_type_unknown"),
        (b"{}", {"content-encoding": "gzip"}, 415, "media_type_unknown"),
        (b" " * (MAX_BYTES + 1), {}, 413, "too_large"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_in_openais_form(
    surface: Surface, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answered = await surface.client.post(COMPLETIONS, body, headers)
    assert (answered.status, answered.headers["content-type"]) == (status, "application/json")
    assert set(answered.json()["error"]) == {"message", "type", "param", "code"}
    assert (answered.json()["error"]["param"], answered.json()["error"]["code"]) == (None, code)


async def test_a_refusal_to_be_tried_again_says_when(surface: Surface, process: Process) -> None:
    await process.catalog["generation"].engine.stop()
    answered = await surface.client.post(COMPLETIONS, {"model": "generation"})
    error = answered.json()["error"]
    assert (answered.status, answered.headers["retry-after"]) == (503, "1")
    assert (error["type"], error["code"]) == ("server_error", "shutting_down")


@pytest.mark.parametrize(("method", "path"), [("GET", MODELS), ("POST", COMPLETIONS)])
async def test_a_key_is_needed_and_its_refusal_is_in_openais_form(
    surface: Surface, process: Process, tmp_path: Path, method: str, path: str
) -> None:
    token = add_key(tmp_path / "keys", "ada")
    app = AuthMiddleware(surface.app, Keys(tmp_path / "keys", Clock()), process.metrics.requests_tally)
    client = Client(app)
    for headers in ({}, {"authorization": "Bearer sk-no"}):
        answered = await client.request(method, path, headers)
        error = answered.json()["error"]
        assert answered.status == 401
        assert answered.headers["www-authenticate"].startswith("Bearer")
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert (await client.request(method, path, {"authorization": f"Bearer {token}"})).status != 401


async def test_requests_are_counted_by_path_with_the_status_that_was_sent(surface: Surface, process: Process) -> None:
    await surface.client.request("GET", MODELS)
    await surface.client.request("GET", f"{MODELS}/generation")
    await surface.client.request("GET", f"{MODELS}/nobody")
    await surface.client.post(COMPLETIONS, {"model": "generation", "max_tokens": 1})
    await surface.client.post(COMPLETIONS, {"model": "generation", "n": 0})
    await surface.client.post("/v1/nothing", {})
    process.metrics.flush()
    sample = process.metrics.registry.get_sample_value
    for endpoint, code in (
        (MODELS, "200"),
        (f"{MODELS}/{{name}}", "200"),
        (f"{MODELS}/{{name}}", "404"),
        (COMPLETIONS, "200"),
        (COMPLETIONS, "400"),
        ("other", "404"),
    ):
        assert sample("rnn_requests_total", {"endpoint": endpoint, "code": code}) == 1
