"""The Open Inference Protocol by NVIDIA's own client, in JSON and in binary, on both ports."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from tests.e2e.asking import http_client, open_session, step
from tests.e2e.server import Server
from tests.e2e.surfaces import over_http, whole
from tests.paths import ROOT

pytestmark = pytest.mark.e2e
VOCABULARIES = {"sentiment": 1000, "generation": 65, "generation-mingru": 65, "folk": 89}
DATATYPES = {"int64": "INT64", "float64": "FP64", "float32": "FP32"}
MANIFESTS = {path.parent.name: json.loads(path.read_text()) for path in (ROOT / "models").glob("*/manifest.json")}


@contextmanager
def opened(port: int) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(f"127.0.0.1:{port}", network_timeout=60, connection_timeout=60)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(scope="module", params=["port", "fast_port"])
def triton(server: Server, request: pytest.FixtureRequest) -> Iterator[InferenceServerClient]:
    """NVIDIA's client on one of the two ports."""
    with opened(getattr(server, request.param)) as client:
        yield client


def tensor(values: NDArray[Any], is_binary: bool) -> InferInput:
    """Items (N, T, ...) as an input."""
    sent = InferInput("x", list(values.shape), DATATYPES[values.dtype.name])
    return sent.set_data_from_numpy(values, binary_data=is_binary)


def infer(
    client: InferenceServerClient, model: str, ids: Sequence[Sequence[int]], is_binary: bool = True, **more: object
) -> InferResult:
    """What rows of ids are answered, logits and argmax."""
    outputs = [InferRequestedOutput(name, binary_data=is_binary) for name in ("logits", "argmax")]
    return client.infer(model, [tensor(np.array(ids, np.int64), is_binary)], outputs=outputs, **more)


def step_graph(manifest: dict[str, Any]) -> dict[str, Any] | None:
    """The stage of a bundle that takes a sequence's items, if they are one tensor and nothing is read backwards."""
    stages = {stage["name"]: stage for stage in manifest["stages"]}
    is_forward = all(stage.get("direction", "forward") == "forward" for stage in stages.values())
    encode: dict[str, Any] | None = stages.get("encode")
    return encode if is_forward and encode is not None and len(encode["inputs"]) == 1 else None


def told(spec: dict[str, Any]) -> dict[str, Any]:
    """A tensor of a manifest as the protocol tells it."""
    shape = [axis if isinstance(axis, int) else -1 for axis in spec["shape"]]
    return {"name": spec["name"], "datatype": DATATYPES[spec["dtype"]], "shape": shape}


def test_the_server_is_live_and_ready_and_tells_what_it_speaks(triton: InferenceServerClient) -> None:
    assert (triton.is_server_live(), triton.is_server_ready()) == (True, True)
    assert {"sequence", "sequence(string_id)", "binary_tensor_data"} <= set(triton.get_server_metadata()["extensions"])
    assert {entry["name"] for entry in triton.get_model_repository_index()} == set(MANIFESTS)


def test_what_cannot_be_loaded_is_told_in_words_that_tritons_client_shows(triton: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="the model store has no nope:latest"):
        triton.load_model("nope")
    with pytest.raises(InferenceServerException, match="nothing at this path"):
        triton.unload_model("sentiment")


@pytest.mark.parametrize("model", [name for name, manifest in MANIFESTS.items() if step_graph(manifest)])
def test_a_models_tensors_are_its_manifests(triton: InferenceServerClient, client: httpx.Client, model: str) -> None:
    encode = step_graph(MANIFESTS[model])
    assert encode is not None
    metadata = triton.get_model_metadata(model)
    assert metadata["inputs"] == [told(spec) for spec in encode["inputs"]]
    argmax = [{"name": "argmax", "datatype": "INT64", "shape": [-1, -1]}]
    assert metadata["outputs"] == [*map(told, encode["outputs"]), *(argmax if encode["outputs"] else [])]
    (version,) = metadata["versions"]
    described = {each["name"]: each for each in client.get("/models").json()["models"]}
    assert version == described[model]["version"]
    assert triton.get_model_metadata(model, version) == metadata
    assert triton.is_model_ready(model, version)
    assert triton.get_model_config(model, version)["input"][0]["dims"] == metadata["inputs"][0]["shape"][1:]


@pytest.mark.parametrize("model", [name for name, manifest in MANIFESTS.items() if not step_graph(manifest)])
def test_a_model_that_is_not_asked_in_tensors_is_ready_and_says_so(triton: InferenceServerClient, model: str) -> None:
    assert triton.is_model_ready(model)
    for asked in (lambda: triton.get_model_metadata(model), lambda: infer(triton, model, [[1]])):
        with pytest.raises(InferenceServerException, match="own form") as refused:
            asked()
        assert refused.value.status() == "422"


@pytest.mark.parametrize("model", VOCABULARIES)
@pytest.mark.parametrize("is_binary", [False, True])
def test_whole_rows_have_the_bits_of_a_step(
    triton: InferenceServerClient, client: httpx.Client, model: str, is_binary: bool
) -> None:
    rows = np.random.default_rng(1).integers(0, VOCABULARIES[model], (3, 45)).tolist()
    result = infer(triton, model, rows, is_binary, request_id="r")
    assert result.get_response()["id"] == "r"
    for row, logits, argmax in zip(rows, result.as_numpy("logits"), result.as_numpy("argmax"), strict=True):
        assert logits.tobytes() == whole(client, model, row).tobytes()
        assert argmax.tolist() == logits.argmax(axis=-1).tolist()


@pytest.mark.parametrize("model", VOCABULARIES)
@pytest.mark.parametrize("sequence_id", [7, "a review", 2**64 - 1])
def test_a_sequence_cut_anywhere_over_both_ports_and_forms_has_the_bits_of_the_whole(
    server: Server, client: httpx.Client, model: str, sequence_id: int | str
) -> None:
    rng = np.random.default_rng(len(model) + len(str(sequence_id)))
    ids = rng.integers(0, VOCABULARIES[model], 60).tolist()
    cuts = [0, *sorted(rng.choice(range(1, 60), 8, replace=False).tolist()), 60]
    logits = []
    for n, (start, end) in enumerate(pairwise(cuts)):
        with opened((server.port, server.fast_port)[n % 2]) as triton:
            result = infer(
                triton,
                model,
                [ids[start:end]],
                is_binary=n % 3 > 0,
                sequence_id=sequence_id,
                sequence_start=start == 0,
                sequence_end=end == 60,
            )
            logits.append(result.as_numpy("logits")[0])
    assert np.concatenate(logits).tobytes() == whole(client, model, ids).tobytes()


def test_sequences_that_take_turns_do_not_meet(triton: InferenceServerClient, client: httpx.Client) -> None:
    texts = {sequence_id: np.random.default_rng(n).integers(0, 65, 20) for n, sequence_id in enumerate((1, 2, "1"))}
    last = {}
    for n in range(20):
        for sequence_id, ids in texts.items():
            place = {"sequence_start": n == 0, "sequence_end": n == 19}
            last[sequence_id] = infer(triton, "generation", [[int(ids[n])]], sequence_id=sequence_id, **place)
    for sequence_id, ids in texts.items():
        expected = whole(client, "generation", ids.tolist())[-1]
        assert last[sequence_id].as_numpy("logits")[0, -1].tobytes() == expected.tobytes()


def test_without_named_outputs_all_come_in_binary(triton: InferenceServerClient) -> None:
    result = triton.infer("generation", [tensor(np.array([[3, 7]]), True)])
    assert (result.as_numpy("logits").shape, result.as_numpy("argmax").shape) == ((1, 2, 65), (1, 2))


def test_a_sequence_is_a_session_and_a_step_that_is_named_may_be_repeated(
    triton: InferenceServerClient, client: httpx.Client
) -> None:
    start = infer(triton, "sentiment", [[1, 2]], sequence_id="again", sequence_start=True)
    next_step = start.get_response()["parameters"]["step"]
    named = {"sequence_id": "again", "parameters": {"step": next_step}}
    first, again = [infer(triton, "sentiment", [[3]], **named) for _ in range(2)]
    assert first.as_numpy("logits").tobytes() == again.as_numpy("logits").tobytes()
    session_id = again.get_response()["parameters"]["session_id"]
    assert client.get(f"/sessions/{session_id}").json()["step"] == next_step + 1
    over_http(client, session_id, [4], step=next_step + 1)
    end = infer(triton, "sentiment", [[5]], sequence_id="again", sequence_end=True).as_numpy("logits")[0]
    assert end.tobytes() == whole(client, "sentiment", [1, 2, 3, 4, 5])[-1:].tobytes()


def test_readings_that_a_sequence_took_are_forecast_from(triton: InferenceServerClient, client: httpx.Client) -> None:
    segment = MANIFESTS["forecasting"]["task"]["segment"]
    readings = np.sin(np.arange(4.0 * segment)).reshape(4, segment)
    for n in range(2):
        sent = [tensor(readings[None, 2 * n : 2 * n + 2], n == 0)]
        result = triton.infer("forecasting", sent, sequence_id="sensor", sequence_start=n == 0)
    assert result.get_response()["outputs"] == []
    fresh = open_session(client, "forecasting")
    step(client, fresh, {"x": readings.tolist()})
    session_id = result.get_response()["parameters"]["session_id"]
    assert step(client, session_id, {"horizon": 30}) == step(client, fresh, {"horizon": 30})


def test_refusals_reach_the_client_as_the_protocols_errors(triton: InferenceServerClient) -> None:
    refusals = [
        ({"model": "generation", "ids": [[1]], "sequence_id": "never"}, "400", "must specify the START flag"),
        ({"model": "generation", "ids": [[65]]}, "422", "65 is not a token"),
        ({"model": "nosuch", "ids": [[1]]}, "404", "is served; there are"),
        ({"model": "generation", "ids": [[1]], "model_version": "7"}, "404", "is not served"),
        ({"model": "generation", "ids": [[1]], "request_compression_algorithm": "gzip"}, "415", "as it is"),
    ]
    for asked, status, message in refusals:
        with pytest.raises(InferenceServerException, match=message) as refused:
            infer(triton, **asked)
        assert refused.value.status() == status
    with pytest.raises(InferenceServerException, match="nothing at this path"):
        triton.get_inference_statistics("generation")


def test_a_sequence_outlives_the_death_of_every_process(home: Path) -> None:
    ids = np.random.default_rng(9).integers(0, 65, 30).tolist()
    logits = []
    with Server(home) as server:
        for n, (start, end) in enumerate(pairwise((0, 10, 20, 30))):
            with opened(server.fast_port) as triton:
                part = {"sequence_start": n == 0, "sequence_end": end == 30}
                result = infer(triton, "generation", [ids[start:end]], sequence_id="killed", **part)
                logits.append(result.as_numpy("logits")[0])
            if n != 1:  # the first part, and all of them
                server.kill()
                server.start()
        with http_client(server.url) as client:
            expected = whole(client, "generation", ids)
        with opened(server.port) as triton, pytest.raises(InferenceServerException, match="is over: ended"):
            infer(triton, "generation", [[1]], sequence_id="killed")
    assert np.concatenate(logits).tobytes() == expected.tobytes()
