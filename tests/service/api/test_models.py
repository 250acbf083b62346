"""`GET /models`, with shipped bundles."""

import numpy as np
import orjson
import pytest
from starlette.applications import Starlette
from tokenizers import Tokenizer

from service.api.media_types import OCTETS
from service.api.models import ModelRoutes, describe
from service.api.refusal_layer import RefusalMiddleware
from service.api.routes import routes_of
from service.forms.form import Form
from service.forms.models import TensorStep
from service.forms.sentiment import SentimentRequest, TextStep
from service.forms.tagging import TagRequest
from service.media.music import FrameTokens
from tests.fakes.asgi import Client, Surface
from tests.fakes.binary import binary_head
from tests.fakes.process import Process
from tests.paths import MODELS
from tests.service.api.listing import listing_of

pytestmark = pytest.mark.anyio


async def test_a_models_inputs_are_those_that_something_accepts() -> None:
    forms: dict[str, tuple[bool, type[Form]]] = {
        "sentiment": (True, TextStep),
        "sentiment-bidirectional": (False, SentimentRequest),
        "entities": (False, TagRequest),
    }
    models = await listing_of(*forms)
    assert {name: (model["sessions"], model["inputs"]) for name, model in models.items()} == {
        name: (has_sessions, form.model_json_schema()) for name, (has_sessions, form) in forms.items()
    }


async def test_a_models_task_is_told_without_its_tokenizer_and_its_outputs_if_it_has_sessions() -> None:
    models = await listing_of("generation", "entities")
    assert not [name for name, model in models.items() if "tokenizer" in model["task"]]
    assert [name for name, model in models.items() if "outputs" in model] == ["generation"]
    assert "text" in str(models["generation"]["outputs"])


async def test_a_model_tells_how_a_step_is_written_in_tensors() -> None:
    names = ("sentiment", "forecasting", "tagging-streaming", "sentiment-bidirectional")
    told_of = {name: model.get("tensors") for name, model in (await listing_of(*names)).items()}
    num_tokens = told_of["sentiment"].pop("num_tokens")
    assert told_of == {
        "sentiment": {
            "field": "ids",
            "input": {"name": "x", "datatype": "INT64", "shape": [-1, -1]},
            "outputs": [
                {"name": "logits", "datatype": "FP32", "shape": [-1, -1, 2]},
                {"name": "argmax", "datatype": "INT64", "shape": [-1, -1]},
            ],
        },
        "forecasting": {
            "field": "x",
            "input": {"name": "x", "datatype": "FP64", "shape": [-1, -1, 24]},
            "outputs": [],
        },
        "tagging-streaming": None,
        "sentiment-bidirectional": None,
    }
    assert num_tokens > 1000


async def test_ids_are_those_that_the_document_tells_of() -> None:
    of = await listing_of("generation", "chorales", "sentiment")
    tokens = {name: model["tensors"]["num_tokens"] for name, model in of.items()}
    vocabularies = {
        name: Tokenizer.from_file(str(MODELS / name / "tokenizer.json")).get_vocab()
        for name in ("generation", "sentiment")
    }
    characters = of["generation"]["task"]["characters"]
    assert [vocabularies["generation"][character] for character in characters] == [*range(tokens["generation"])]
    task = of["chorales"]["task"]
    assert FrameTokens(task["lowest"], task["highest"]).encode([(task["lowest"] + 2,)]) == [2, tokens["chorales"] - 1]
    assert len(vocabularies["sentiment"]) == tokens["sentiment"]
    told_of_ids = TensorStep.model_fields["num_tokens"].description or ""
    for words in ("`task.characters`", "`task.lowest`", "the last id is the end of a frame", "tokenizer.json"):
        assert words in told_of_ids


async def test_a_step_that_is_written_as_told_is_taken(surface: Surface, process: Process) -> None:
    told_of = describe(process.model).tensors
    assert told_of is not None
    assert told_of.num_tokens == process.model.num_tokens
    session_id = await process.create()
    ids = [0, process.model.num_tokens - 1]
    step = {"inputs": {told_of.field: ids}, "return": told_of.outputs[-1].name}
    assert (await surface.client.post(f"/sessions/{session_id}/steps", step)).status == 200
    document = binary_head([session_id], np.array([ids]))
    document["inputs"][0] |= {"name": told_of.input.name, "datatype": told_of.input.datatype}
    head = orjson.dumps(document)
    fields = {"content-type": OCTETS, "inference-header-content-length": str(len(head))}
    answer = await surface.client.post("/steps", head + np.array([ids]).tobytes(), fields)
    assert answer.status == 200
    assert b'"step":2' in answer.body


async def test_one_model_is_shown_by_its_name(process: Process) -> None:
    client = Client(RefusalMiddleware(Starlette(routes=routes_of(ModelRoutes(process.catalog).handlers()))))
    shown = (await client.request("GET", "/models/sum")).json()
    (listed,) = (await client.request("GET", "/models")).json()["models"]
    assert shown == listed
    refused = await client.request("GET", "/models/none")
    assert (refused.status, refused.json()["type"]) == (404, "urn:unrolled:problem:model-unknown")


async def test_a_list_is_of_what_is_served_now(process: Process) -> None:
    routes = ModelRoutes(process.catalog)
    client = Client(Starlette(routes=routes_of(routes.handlers())))
    before = (await client.request("GET", "/models")).json()["models"]
    process.serve(type(process.model))
    after = (await client.request("GET", "/models")).json()["models"]
    assert [model["bundle"] for model in (*before, *after)] == ["sum:0", process.catalog["sum"].bundle.tag]
    assert before != after


async def test_a_model_is_described_once(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[str] = []
    monkeypatch.setattr("service.api.models.describe", lambda model: described.append(model.name) or describe(model))
    client = Client(Starlette(routes=routes_of(ModelRoutes(process.catalog).handlers())))
    for path in ("/models/sum", "/models/sum", "/models", "/models/sum"):
        assert (await client.request("GET", path)).status == 200
    assert described == ["sum"]


async def test_a_list_that_the_client_has_is_not_sent_again(process: Process) -> None:
    client = Client(Starlette(routes=routes_of(ModelRoutes(process.catalog).handlers())))
    tag = (await client.request("GET", "/models")).headers["etag"]
    answered = await client.request("GET", "/models", {"if-none-match": f'"another", {tag}'})
    assert (answered.status, answered.body, answered.headers["etag"]) == (304, b"", tag)
    process.serve(type(process.model))
    assert (await client.request("GET", "/models", {"if-none-match": tag})).status == 200
