"""`POST /v2/models/{name}/infer`: both forms, whole sequences and parts of them, and every refusal."""

import asyncio
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest

from service.api.open_inference.tensors import MAX_ROWS
from service.engine.engine import Engine
from service.engine.state import Array
from service.forms.steps import MAX_STEP_ITEMS
from tests.fakes.asgi import JSON, MAX_BYTES, Answered, Client, Surface
from tests.fakes.catalog import serve
from tests.fakes.graphs import POISON, RecordingObserver, SumGraphs, V, logits_of, sum_bundle, sum_stages
from tests.fakes.model import SumModel
from tests.fakes.process import Process, settle
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
PATH = "/v2/models/sum/infer"
LENGTH = "inference-header-content-length"
OCTETS = "application/octet-stream"


def x(*rows: list[int], **more: object) -> dict[str, Any]:
    """Rows of ids as a tensor in JSON."""
    return {"name": "x", "shape": [len(rows), len(rows[0])], "datatype": "INT64", "data": list(rows), **more}


def asked(*ids: int, outputs: tuple[str, ...] = ("logits",), **parameters: object) -> dict[str, Any]:
    """A request for one row, with the outputs that are named."""
    return {
        "parameters": parameters,
        "inputs": [x(list(ids))],
        "outputs": [{"name": name} for name in outputs],
    }


def binary(values: Array, datatype: str = "INT64", **more: object) -> tuple[bytes, dict[str, str]]:
    """A request in binary, and its headers."""
    blob = values.tobytes()
    tensor = {"name": "x", "shape": values.shape, "datatype": datatype, "parameters": {"binary_data_size": len(blob)}}
    head = orjson.dumps({"inputs": [tensor], **more})
    return head + blob, {LENGTH: str(len(head)), "content-type": OCTETS}


def tensor(answered: Answered, name: str = "logits") -> Array:
    """An output that was answered, in JSON or behind it."""
    assert answered.status == 200, answered.body
    length = int(answered.headers.get(LENGTH, len(answered.body)))
    rest = memoryview(answered.body)[length:]
    for output in orjson.loads(answered.body[:length])["outputs"]:
        dtype = {"INT64": np.int64, "FP32": np.float32}[output["datatype"]]
        size = output.get("parameters", {}).get("binary_data_size")
        content = np.array(output["data"], dtype) if size is None else np.frombuffer(rest[:size], dtype)
        rest = rest[size or 0 :]
        if output["name"] == name:
            return content.reshape(output["shape"])
    raise KeyError(name)


async def error_of(
    client: Client, body: object, status: int, path: str = PATH, headers: Mapping[str, str] = JSON
) -> str:
    """What a request is refused with."""
    answered = await client.post(path, body, headers)
    assert (answered.status, answered.headers["content-type"]) == (status, "application/json"), answered.body
    assert list(answered.json()) == ["error"]
    error: str = answered.json()["error"]
    return error


async def test_whole_rows_are_answered_and_nothing_is_stored(surface: Surface, store: FaultyStore) -> None:
    answered = await surface.client.post(PATH, {"id": "r1", "inputs": [x([1, 2, 3], [4, 5, 6])]})
    assert {name: answered.json()[name] for name in ("model_name", "model_version", "id")} == {
        "model_name": "sum",
        "model_version": "0",
        "id": "r1",
    }
    assert "parameters" not in answered.json()
    expected = logits_of(np.cumsum([[1, 2, 3], [4, 5, 6]], axis=1))
    assert tensor(answered).tobytes() == expected.tobytes()
    assert tensor(answered, "argmax").tolist() == expected.argmax(axis=-1).tolist()
    assert (await store.count()).num_live == 0


async def test_a_request_without_what_is_optional_is_answered_without_it(surface: Surface) -> None:
    answered = await surface.client.post(PATH, {"inputs": [x([1])]})
    assert answered.headers["content-type"] == "application/json"
    assert LENGTH not in answered.headers
    told = answered.json()
    assert set(told) == {"model_name", "model_version", "outputs"}
    assert [output["name"] for output in told["outputs"]] == ["logits", "argmax"]
    assert told["outputs"][0] == {
        "name": "logits",
        "datatype": "FP32",
        "shape": [1, 1, V],
        "data": logits_of(np.array([1]))[0].tolist(),
    }


async def test_only_what_is_named_is_answered_in_that_order(surface: Surface) -> None:
    for names in (["argmax"], ["argmax", "logits"]):
        answered = await surface.client.post(PATH, asked(1, 2, outputs=tuple(names)))
        assert [output["name"] for output in answered.json()["outputs"]] == names


@pytest.mark.parametrize("parameters", [{}, {"sequence_id": 7, "sequence_start": True}])
async def test_each_output_is_sent_in_the_form_that_it_is_asked_in(
    surface: Surface, parameters: dict[str, object]
) -> None:
    body = asked(1, 2, 3, outputs=("logits", "argmax"), **parameters, binary_data_output=True)
    body["outputs"][1]["parameters"] = {"binary_data": False}
    answered = await surface.client.post(PATH, body)
    head = orjson.loads(answered.body[: int(answered.headers[LENGTH])])
    assert answered.headers["content-type"] == OCTETS
    assert [set(output) for output in head["outputs"]] == [
        {"name", "datatype", "shape", "parameters"},
        {"name", "datatype", "shape", "data"},
    ]
    expected = logits_of(np.array([[1, 3, 6]]))
    assert tensor(answered).tobytes() == expected.tobytes()
    assert tensor(answered, "argmax").tobytes() == expected.argmax(axis=-1).tobytes()


@pytest.mark.parametrize("kind", [OCTETS, "application/json", ""])
async def test_a_tensor_behind_the_json_is_the_same_as_one_within(surface: Surface, kind: str) -> None:
    body, headers = binary(np.array([[1, 2], [3, 4]]), parameters={"binary_data_output": True})
    headers = {LENGTH: headers[LENGTH], **({"content-type": kind} if kind else {})}
    within = await surface.client.post(PATH, {"inputs": [x([1, 2], [3, 4])]})
    assert tensor(await surface.client.post(PATH, body, headers)).tobytes() == tensor(within).tobytes()


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]])
async def test_numbers_may_be_nested_or_not(surface: Surface, data: list[object]) -> None:
    tensors = [x([1, 2], [3, 4], data=data)]
    answered = await surface.client.post(PATH, {"inputs": tensors})
    assert tensor(answered).tobytes() == logits_of(np.array([[1, 3], [3, 7]])).tobytes()


SEQUENCE = {"sequence_id": 42}
WRONG: list[tuple[object, int, str]] = [
    (b"{", 400, "not JSON"),
    (b"", 400, "not JSON"),
    (b'{"inputs":[{"name":"\\ud800","shape":[1,1],"datatype":"INT64","data":[1]}]}', 400, "half a character"),
    ([], 422, "object"),
    ({}, 422, "inputs"),
    ({"inputs": []}, 422, "inputs"),
    ({"inputs": [x([1])], "more": 1}, 422, "more"),
    ({"inputs": [x([1])], "id": 7}, 422, "id"),
    ({"inputs": [x([1], name="y")]}, 422, "inputs.0.name: the model reads one tensor, 'x'"),
    ({"inputs": [x([1]), x([1], name="y")]}, 422, "inputs.1.name"),
    ({"inputs": [x([1]), x([1])]}, 422, "inputs.1.name"),
    ({"inputs": [x([1], datatype="INT32")]}, 422, "inputs.0.datatype: must be INT64"),
    ({"inputs": [x([1], datatype="BYTES")]}, 422, "inputs.0.datatype"),
    ({"inputs": [x([1], shape=[1])]}, 422, "inputs.0.shape: must be [-1, -1]"),
    ({"inputs": [x([1], shape=[1, 1, 1])]}, 422, "inputs.0.shape"),
    ({"inputs": [x([1], shape=[1, 0])]}, 422, "inputs.0.shape.1"),
    ({"inputs": [x([1], shape=[1, -1])]}, 422, "inputs.0.shape.1"),
    ({"inputs": [x([1], shape=[1, 2])]}, 422, "inputs.0.data: must be nested as [1, 2], or not at all"),
    ({"inputs": [x([1], shape=[1, MAX_STEP_ITEMS + 1])]}, 422, "items together"),
    ({"inputs": [x([1], shape=[MAX_ROWS + 1, 1])]}, 422, "rows"),
    ({"inputs": [x([1], data=[1.0])]}, 422, "inputs.0.data: must be whole numbers"),
    ({"inputs": [x([1], data=[True])]}, 422, "inputs.0.data"),
    ({"inputs": [x([1], data=["1"])]}, 422, "inputs.0.data"),
    ({"inputs": [x([1], data=[None])]}, 422, "inputs.0.data"),
    ({"inputs": [x([1], data=[[1], 2])]}, 422, "inputs.0.data"),
    ({"inputs": [x([1], data=[2**64 - 1])]}, 422, "inputs.0.data: a number does not fit INT64"),
    (
        b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"INT64","data":[1180591620717411303424]}]}',
        422,
        "does not fit",
    ),
    ({"inputs": [x([1], data=[])]}, 422, "inputs.0.data"),
    ({"inputs": [x([100])]}, 422, "inputs.0.data: 100 is not a token; tokens are 0 to 99"),
    ({"inputs": [x([1], data=None)]}, 422, "give either data or binary_data_size"),
    ({"inputs": [x([1], parameters={"binary_data_size": 8})]}, 422, "give either"),
    ({"inputs": [x([1], data=None, parameters={"binary_data_size": 8})]}, 400, "size is 8, but 0 bytes follow"),
    ({"inputs": [x([1], parameters={"shared_memory_region": "r"})]}, 422, "shared_memory_region"),
    (
        {"inputs": [x([1])], "outputs": [{"name": "sums"}]},
        422,
        "outputs.0.name: the model answers ['logits', 'argmax']",
    ),
    ({"inputs": [x([1])], "outputs": [{"name": "logits", "parameters": {"classification": 3}}]}, 422, "classification"),
    (asked(1, sequence_start=True), 422, "needs a sequence_id"),
    (asked(1, sequence_id=0, sequence_end=True), 422, "needs a sequence_id"),
    (asked(1, sequence_id="", step=3), 422, "needs a sequence_id"),
    (asked(1, sequence_id=-1), 422, "sequence_id"),
    (orjson.dumps(asked(1, sequence_id=2**64 - 1)).replace(b"615}", b"616}"), 422, "sequence_id"),
    (asked(1, sequence_id=1.5), 422, "sequence_id"),
    (asked(1, sequence_id="a" * 256), 422, "sequence_id"),
    (asked(1, **SEQUENCE, sequence_start=1), 422, "sequence_start"),
    (asked(1, **SEQUENCE, sequence_start=True, step=0), 422, "no step"),
    (asked(1, **SEQUENCE, sequenceend=True), 422, "sequenceend"),
    (
        {"inputs": [x([1], [2])], "parameters": {**SEQUENCE, "sequence_start": True}},
        422,
        "inputs.0.shape: a sequence is one row",
    ),
    (b" " * (MAX_BYTES + 1), 413, "bytes"),
]


@pytest.mark.parametrize(("body", "status", "told"), WRONG)
async def test_what_is_wrong_is_told_in_the_protocols_form(
    surface: Surface, store: FaultyStore, body: object, status: int, told: str
) -> None:
    assert told in await error_of(surface.client, body, status)
    assert (await store.count()).num_live == 0


@pytest.mark.parametrize(
    ("length", "status"), [("0", 400), ("1", 400), ("x", 400), ("-1", 400), ("1000000", 400), ("", 400)]
)
async def test_lengths_that_do_not_add_up_are_refused(surface: Surface, length: str, status: int) -> None:
    body, headers = binary(np.array([[1, 2]]))
    headers |= {LENGTH: length}
    if not length:
        del headers[LENGTH]
    await error_of(surface.client, body, status, headers=headers)


@pytest.mark.parametrize("change", [-8, -1, 1, 8])
async def test_bytes_that_are_too_few_or_too_many_are_refused(surface: Surface, change: int) -> None:
    body, headers = binary(np.array([[1, 2]]))
    changed = body[:change] if change < 0 else body + bytes(change)
    assert "bytes follow the JSON" in await error_of(surface.client, changed, 400, headers=headers)


async def test_a_blob_that_is_no_whole_tensor_is_refused(surface: Surface) -> None:
    odd, headers = binary(np.zeros((1, 9), np.uint8))
    assert "not a whole number" in await error_of(surface.client, odd, 400, headers=headers)
    short, headers = binary(np.zeros((1, 2), np.int32))
    assert "has 2 values, not 1" in await error_of(surface.client, short, 422, headers=headers)


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/plain"}, {"content-type": "application/json", "content-encoding": "gzip"}]
)
async def test_other_media_types_and_compressed_bodies_are_refused(surface: Surface, headers: dict[str, str]) -> None:
    await error_of(surface.client, {"inputs": [x([1])]}, 415, headers=headers)


@pytest.mark.parametrize("path", ["/v2/models/nosuch/infer", "/v2/models/sum/versions/7/infer"])
async def test_a_model_or_a_version_that_is_not_served_is_a_404(surface: Surface, path: str) -> None:
    assert "served; there are" in await error_of(surface.client, {"inputs": [x([1])]}, 404, path)


async def test_a_version_may_be_named(surface: Surface) -> None:
    answered = await surface.client.post("/v2/models/sum/versions/0/infer", asked(1, 2))
    assert tensor(answered).tobytes() == logits_of(np.array([[1, 3]])).tobytes()


async def test_priority_and_timeout_change_nothing(surface: Surface) -> None:
    answered = await surface.client.post(PATH, asked(1, 2, priority=1, timeout=1_000_000))
    assert tensor(answered).tobytes() == logits_of(np.array([[1, 3]])).tobytes()


@pytest.mark.parametrize("seed", range(6))
async def test_any_cut_in_any_form_gives_the_bits_of_a_step_and_of_the_whole(
    surface: Surface, process: Process, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 10, rng.integers(1, 20)).tolist()
    cuts = sorted(rng.permutation(range(1, len(ids)))[: rng.integers(len(ids))].tolist())
    parts = [ids[start:end] for start, end in pairwise([0, *cuts, len(ids)])]
    answers = []
    for n, part in enumerate(parts):
        parameters = {"sequence_id": "cut", "sequence_start": n == 0, "sequence_end": n == len(parts) - 1}
        if rng.random() < 0.5:
            body, headers = binary(np.array([part]), parameters={**parameters, "binary_data_output": True})
            answers.append(tensor(await surface.client.post(PATH, body, headers)))
        else:
            answers.append(tensor(await surface.client.post(PATH, asked(*part, **parameters))))
    together = np.concatenate(answers, axis=1).tobytes()
    step = await process.ids(await process.create(), *ids, returns="logits")
    assert step.values is not None
    assert together == step.values.tobytes()
    assert together == tensor(await surface.client.post(PATH, asked(*ids))).tobytes()


async def test_a_sequence_is_a_session_that_its_owner_may_use_as_any_other(surface: Surface) -> None:
    told = (await surface.client.post(PATH, asked(1, 2, **SEQUENCE, sequence_start=True))).json()["parameters"]
    number = told["step"]
    assert told["sequence_id"] == 42
    path = f"/sessions/{told['session_id']}"
    assert (await surface.client.request("GET", path)).json()["step"] == number
    step = await surface.client.post(f"{path}/steps", {"inputs": {"ids": [3]}, "return": "argmax", "step": number})
    assert step.json()["outputs"]["argmax"] == [int(logits_of(np.array(6)).argmax())]
    answered = await surface.client.post(PATH, asked(4, **SEQUENCE))
    assert tensor(answered).tobytes() == logits_of(np.array([[10]])).tobytes()
    assert answered.json()["parameters"]["step"] == number + 2


async def test_two_sequences_that_take_turns_and_other_spellings_of_an_id_do_not_meet(surface: Surface) -> None:
    sums: dict[int | str, int] = {42: 0, 43: 0, "42": 0, "a b": 0, 2**64 - 1: 0}
    for n in range(3):
        for place, sequence_id in enumerate(sums):
            sums[sequence_id] += n + place
            answered = await surface.client.post(PATH, asked(n + place, sequence_id=sequence_id, sequence_start=n == 0))
            assert tensor(answered).tobytes() == logits_of(np.array([[sums[sequence_id]]])).tobytes()
            assert answered.json()["parameters"]["sequence_id"] == sequence_id


async def test_a_sequence_of_another_owner_does_not_exist(surface: Surface) -> None:
    await surface.client.post(PATH, asked(1, **SEQUENCE, sequence_start=True))
    bob = Client(surface.app, "bob")
    assert "must specify the START flag" in await error_of(bob, asked(1, **SEQUENCE), 400)
    own = await bob.post(PATH, asked(5, **SEQUENCE, sequence_start=True))
    assert tensor(own).tobytes() == logits_of(np.array([[5]])).tobytes()
    answered = await surface.client.post(PATH, asked(1, **SEQUENCE))
    assert tensor(answered).tobytes() == logits_of(np.array([[2]])).tobytes()


async def test_a_sequence_of_a_version_that_is_named_is_another_one(surface: Surface) -> None:
    await surface.client.post(PATH, asked(1, **SEQUENCE, sequence_start=True))
    versioned = "/v2/models/sum/versions/0/infer"
    assert "START" in await error_of(surface.client, asked(1, **SEQUENCE), 400, versioned)


async def test_a_sequence_that_was_never_started_is_refused_as_triton_does(surface: Surface) -> None:
    told = await error_of(surface.client, asked(1, **SEQUENCE), 400)
    assert told.startswith("inference request for sequence 42 to model 'sum' must specify the START flag on the first")


async def test_an_end_is_the_sequences_last_part(surface: Surface) -> None:
    await surface.client.post(PATH, asked(1, **SEQUENCE, sequence_start=True))
    ended = await surface.client.post(PATH, asked(2, **SEQUENCE, sequence_end=True))
    assert tensor(ended).tobytes() == logits_of(np.array([[3]])).tobytes()
    told = await error_of(surface.client, asked(1, **SEQUENCE), 410)
    assert told == "sequence 42 of model 'sum' is over: ended; it may be started again"


async def test_a_sequence_that_goes_on_where_numerics_differ_says_so_once(surface: Surface, process: Process) -> None:
    await surface.client.post(PATH, asked(1, **SEQUENCE, sequence_start=True))
    process.catalog.numerics = b"another!"
    client = Surface(process).client
    await error_of(client, asked(2, **SEQUENCE), 412)
    changed, after = [
        (await client.post(PATH, asked(2, **SEQUENCE, allow_numerics_change=True))).json()["parameters"]
        for _ in range(2)
    ]
    assert changed["numerics_changed"] is True
    assert "numerics_changed" not in after


async def test_a_model_without_outputs_is_read_in_sequences_only(surface: Surface, process: Process) -> None:
    sums = {"name": "sums", "dtype": "int64", "shape": ["N", "T"]}
    bundle = sum_bundle("1", stages=sum_stages(outputs=[sums]))
    serve(process.catalog, [SumModel(bundle, Engine(SumGraphs(bundle), RecordingObserver()))])
    told = await error_of(surface.client, asked(1, outputs=()), 422)
    assert told == "sum returns no tensors: only a sequence with an id keeps what it reads"
    answered = await surface.client.post(PATH, asked(1, outputs=(), **SEQUENCE, sequence_start=True))
    assert (answered.status, answered.json()["outputs"]) == (200, [])


async def test_one_request_may_start_and_end_a_sequence(surface: Surface, store: FaultyStore) -> None:
    for _ in range(2):
        answered = await surface.client.post(PATH, asked(1, 2, **SEQUENCE, sequence_start=True, sequence_end=True))
        assert tensor(answered).tobytes() == logits_of(np.array([[1, 3]])).tobytes()
    assert (await store.count()).num_live == 0


async def test_a_sequence_that_was_idle_for_too_long_is_over(surface: Surface, process: Process) -> None:
    await surface.client.post(PATH, asked(1, **SEQUENCE, sequence_start=True))
    process.clock.now += 10
    assert "is over: expired" in await error_of(surface.client, asked(1, **SEQUENCE), 410)
    started = await surface.client.post(PATH, asked(1, **SEQUENCE, sequence_start=True))
    assert tensor(started).tobytes() == logits_of(np.array([[1]])).tobytes()


async def test_a_part_that_names_its_step_may_be_sent_again(surface: Surface) -> None:
    start = await surface.client.post(PATH, asked(1, **SEQUENCE, sequence_start=True))
    step = start.json()["parameters"]["step"]
    first, again = [await surface.client.post(PATH, asked(2, 3, **SEQUENCE, step=step)) for _ in range(2)]
    assert first.body == again.body
    both = {"outputs": ("logits", "argmax")}
    again = await surface.client.post(PATH, asked(2, 3, **both, **SEQUENCE, step=step))
    assert tensor(again, "argmax").tolist() == tensor(first).argmax(axis=-1).tolist()
    told = await error_of(surface.client, asked(9, **SEQUENCE, step=step), 409)
    assert told == f"step {step} was already taken by a different request; step {step + 1} is next"


@pytest.mark.parametrize(
    "data", [[[1, 2, 3], [4]], [[1], [2, 3, 4]], [[[1, 2]], [[3, 4]]], [[[1, 2], [3, 4]]], [[1, 2]], [1, 2, 3, 4, 5]]
)
async def test_numbers_are_nested_as_their_tensor_is_or_not_at_all(surface: Surface, data: object) -> None:
    tensor = {"name": "x", "shape": [2, 2], "datatype": "INT64", "data": data}
    await error_of(surface.client, {"inputs": [tensor]}, 422)


async def test_a_nan_stays_in_its_row_and_is_null_in_json(surface: Surface) -> None:
    rows = [[1, POISON, 1, 1, 1, 1], [1, 2, 3, 4, 5, 6]]
    answered = await surface.client.post(PATH, {"inputs": [x(*rows)]})
    logits = tensor(answered)
    assert np.isnan(logits[0]).any()
    assert logits[1].tobytes() == logits_of(np.cumsum(rows[1])).tobytes()


async def test_a_failure_of_the_service_tells_nothing_of_its_insides(surface: Surface) -> None:
    for parameters in ({}, {**SEQUENCE, "sequence_start": True}):
        told = await error_of(surface.client, asked(66, **parameters), 500)
        assert told == "the service failed to answer; its log says why"


async def test_more_than_any_tensor_holds_is_refused_before_it_is_parsed(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("MAX_STEP_ITEMS", "MAX_ROWS", "MAX_BESIDE"):
        monkeypatch.setattr(f"service.api.open_inference.tensors.{limit}", 8)

    def parsed(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("service.api.open_inference.infer.parsed", parsed)
    for rows in ([[1] * 17], [[1]] * 25):
        assert "inputs.0.data: at most 8 rows" in await error_of(surface.client, {"inputs": [x(*rows)]}, 422)


async def test_logits_that_would_be_too_many_are_refused_before_anything_is_read(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tasks.task.MAX_ANSWERED_VALUES", 2 * V)
    for parameters in ({}, {**SEQUENCE, "sequence_start": True}):
        assert "3 items would return 15 logits" in await error_of(surface.client, asked(1, 2, 3, **parameters), 413)
        assert process.graphs["0"].runs == []
    assert (await surface.client.post(PATH, asked(1, 2, 3, outputs=("argmax",)))).status == 200


async def test_a_store_that_is_down_says_when_to_come_again(surface: Surface, store: FaultyStore) -> None:
    await surface.client.post(PATH, asked(1, **SEQUENCE, sequence_start=True))
    store.is_down = True
    for start in (False, True):
        answered = await surface.client.post(PATH, asked(1, **SEQUENCE, sequence_start=start))
        assert (answered.status, answered.headers["retry-after"]) == (503, "1")
        assert list(answered.json()) == ["error"]
    assert (await surface.client.post(PATH, asked(1))).status == 200


async def test_a_client_that_hangs_up_is_not_computed_for(surface: Surface, process: Process) -> None:
    process.graphs["0"].gate.clear()
    exchange = surface.client.begin("POST", PATH, orjson.dumps(asked(*range(1, 10))))
    await settle()
    exchange.hang_up()
    assert (await exchange.answered()).status == 499
    process.graphs["0"].gate.set()
    answered = await surface.client.post(PATH, asked(1))
    assert tensor(answered).tobytes() == logits_of(np.array([[1]])).tobytes()


async def test_many_sequences_at_once_are_each_as_alone(surface: Surface) -> None:
    async def part(n: int, *ids: int, **parameters: object) -> Answered:
        return await surface.client.post(PATH, asked(*ids, outputs=("argmax",), sequence_id=n + 1, **parameters))

    await asyncio.gather(*(part(n, n % 10, sequence_start=True) for n in range(20)))
    answers = await asyncio.gather(*(part(n, 1, 2) for n in range(20)))
    for n, answered in enumerate(answers):
        sums = np.array([[n % 10 + 1, n % 10 + 3]])
        assert tensor(answered, "argmax").tolist() == logits_of(sums).argmax(axis=-1).tolist()
        assert answered.json()["model_version"] == "0"


async def test_requests_are_counted_by_endpoint_and_status(surface: Surface, process: Process) -> None:
    for body in (asked(1), asked(1), asked(1, **SEQUENCE), b"{"):
        await surface.client.post(PATH, body)
    process.metrics.flush()

    def count(code: str) -> float | None:
        labels = {"endpoint": "/v2/models/{name}/infer", "code": code}
        return process.metrics.registry.get_sample_value("rnn_requests_total", labels)

    assert [count(code) for code in ("200", "400")] == [2, 2]


@pytest.mark.parametrize("path", ["/v2/models//infer", "/v2/infer", "/v2/models/a/b/infer"])
async def test_other_paths_that_end_so_are_not_there(surface: Surface, path: str) -> None:
    assert await error_of(surface.client, asked(1), 404, path) == "there is nothing at this path"
