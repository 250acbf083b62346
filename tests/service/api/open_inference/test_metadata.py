"""`/v2`: what is told of the server and its models, and refusals in the protocol's form."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from service.api.auth import AuthMiddleware
from service.api.open_inference.errors import is_open_inference
from service.api.open_inference.metadata import OpenInferenceRoutes
from service.api.open_inference.signature import signature_of
from service.api.routes import routes_of
from service.bundle.errors import BundleGraphMismatch
from service.engine.engine import Engine
from service.errors import ShuttingDown
from service.keys.key_file import add_key
from service.keys.keys import Keys
from service.metrics import Metrics
from service.tasks.task import ServedModel
from tests.fakes.asgi import Client, Surface
from tests.fakes.graphs import RecordingObserver, SumGraphs, V, sum_bundle, sum_stages
from tests.fakes.model import SumModel, WholeModel, WordyModel
from tests.fakes.process import Process
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
MODELS = ("/v2/models/sum", "/v2/models/sum/versions/0")


async def test_the_server_tells_its_version_and_what_it_speaks(surface: Surface) -> None:
    told = (await surface.client.request("GET", "/v2")).json()
    assert told["name"] == "unrolled"
    assert told["version"]
    assert {"sequence", "sequence(string_id)", "binary_tensor_data"} <= set(told["extensions"])


@pytest.mark.parametrize("path", MODELS)
async def test_a_model_tells_the_tensors_of_its_manifest(surface: Surface, path: str) -> None:
    assert (await surface.client.request("GET", path)).json() == {
        "name": "sum",
        "versions": ["0"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "INT64", "shape": [-1, -1]}],
        "outputs": [
            {"name": "logits", "datatype": "FP32", "shape": [-1, -1, V]},
            {"name": "argmax", "datatype": "INT64", "shape": [-1, -1]},
        ],
    }


@pytest.mark.parametrize("path", MODELS)
async def test_a_configuration_has_shapes_without_the_batch_and_how_long_sequences_live(
    surface: Surface, path: str
) -> None:
    config = (await surface.client.request("GET", f"{path}/config")).json()
    assert config["input"] == [{"name": "x", "data_type": "TYPE_INT64", "dims": [-1]}]
    assert [(output["name"], output["dims"]) for output in config["output"]] == [("logits", [-1, V]), ("argmax", [-1])]
    assert config["sequence_batching"]["max_sequence_idle_microseconds"] == 10_000_000
    assert config["max_batch_size"] == 1024
    assert config["model_transaction_policy"] == {"decoupled": False}


@pytest.mark.parametrize("path", MODELS)
async def test_a_model_is_ready_while_it_is_served(surface: Surface, path: str) -> None:
    assert (await surface.client.request("GET", f"{path}/ready")).json() == {"name": "sum", "ready": True}


@pytest.mark.parametrize("fails", ["the service", "the model"])
async def test_a_model_is_not_ready_if_its_service_or_itself_is_not(process: Process, fails: str) -> None:
    if fails == "the model":
        await process.model.engine.stop()
    routes = OpenInferenceRoutes(process.catalog, lambda: fails != "the service", 1)
    with pytest.raises(ShuttingDown, match="not ready"):
        await routes.model_ready(Request({"type": "http", "path_params": {"name": "sum"}}))


async def test_versions_that_sessions_live_on_come_behind_the_current_one(store: FaultyStore) -> None:
    async with Process(store, versions=("1", "2", "0")) as process:
        told = (await Surface(process).client.request("GET", "/v2/models/sum/versions/2")).json()
        assert told["versions"] == ["0", "1", "2"]


async def test_probes_tell_how_the_worker_is(surface: Surface, process: Process) -> None:
    assert (await surface.client.request("GET", "/v2/health/live")).json() == {"live": True}
    assert (await surface.client.request("GET", "/v2/health/ready")).json() == {"ready": True}
    await process.catalog.stop()
    assert (await surface.client.request("GET", "/v2/health/live")).status == 200
    for path in ("/v2/health/ready", "/v2/models/sum/ready"):
        answered = await surface.client.request("GET", path)
        assert (answered.status, answered.headers["retry-after"]) == (503, "1")
        assert answered.json()["error"].startswith("not ready: the worker starts, is about to stop, or lost its store")


@pytest.mark.parametrize("path", ["/v2/models/nosuch", "/v2/models/nosuch/ready", "/v2/models/sum/versions/7/config"])
async def test_what_is_not_served_is_a_404(surface: Surface, path: str) -> None:
    answered = await surface.client.request("GET", path)
    assert answered.status == 404
    assert "served; there are" in answered.json()["error"]


@pytest.mark.parametrize("kind", [WholeModel, WordyModel])
async def test_a_model_that_is_not_asked_in_tensors_says_so_and_is_ready_all_the_same(
    process: Process, kind: type[ServedModel]
) -> None:
    process.serve(kind)
    client = Surface(process).client
    tensor = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [1]}
    answers = [await client.request("GET", f"/v2/models/sum{path}") for path in ("", "/config")]
    answers.append(await client.post("/v2/models/sum/infer", {"inputs": [tensor]}))
    assert [answered.status for answered in answers] == [422] * 3
    assert all("own form" in answered.json()["error"] for answered in answers)
    assert (await client.request("GET", "/v2/models/sum/ready")).json() == {"name": "sum", "ready": True}


def test_a_model_whose_items_are_more_than_a_tensor_is_not_asked_in_tensors() -> None:
    more = [{"name": "x", "dtype": "int64", "shape": ["N", "T"]}, {"name": "y", "dtype": "int64", "shape": ["N", "T"]}]
    bundle = sum_bundle(stages=sum_stages(inputs=more))
    with pytest.raises(BundleGraphMismatch, match=r"stage 'encode' reads \['x', 'y'\], not one tensor"):
        SumModel(bundle, Engine(SumGraphs(bundle), RecordingObserver()))


def test_a_stage_without_logits_answers_nothing() -> None:
    bundle = sum_bundle(stages=sum_stages(outputs=[{"name": "sums", "dtype": "int64", "shape": ["N", "T"]}]))
    assert signature_of(SumModel(bundle, Engine(SumGraphs(bundle), RecordingObserver()))).names == []


@pytest.mark.parametrize("path", [f"{model}/infer" for model in MODELS])
async def test_infer_is_posted(surface: Surface, path: str) -> None:
    answered = await surface.client.request("GET", path)
    assert (answered.status, answered.headers["allow"]) == (405, "POST")
    assert list(answered.json()) == ["error"]


@pytest.mark.parametrize("path", ["/v2/models/sum/generate", "/v2/models/sum/stats", "/v2/systemsharedmemory/status"])
async def test_what_is_not_supported_is_not_there(surface: Surface, path: str) -> None:
    assert (await surface.client.request("GET", path)).json() == {"error": "there is nothing at this path"}


@pytest.mark.parametrize(
    ("path", "is_ours"),
    [
        ("/v2", True),
        ("/v2/", True),
        ("/v2/models/a/infer", True),
        ("/v2/repository/index", True),
        ("/v2x", False),
        ("/v1/v2", False),
        ("/sessions", False),
    ],
)
def test_the_form_is_the_protocols_on_its_own_paths_only(path: str, is_ours: bool) -> None:
    assert is_open_inference(path) is is_ours


async def test_who_shows_no_key_is_told_so_in_that_form_and_probes_need_none(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    add_key(keys, "ann")
    routes = routes_of(OpenInferenceRoutes({}, lambda: True, 1).handlers())  # type: ignore[arg-type]  # no models
    tally = Metrics().requests_tally
    client = Client(AuthMiddleware(Starlette(routes=routes), Keys(keys), tally))
    refused = await client.request("GET", "/v2")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="unrolled"')
    assert "API key" in refused.json()["error"]
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert (await client.request("GET", path)).status == 200
