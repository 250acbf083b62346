"""The binary form of many steps."""

import math
import struct
from typing import Any

import numpy as np
import orjson
import pytest

from service.api.steps import binary
from service.engine.state import Array
from service.errors import InvalidInput, Malformed, StepConflict
from service.forms.steps import MAX_STEP_ITEMS
from service.steps.turn import Answer, Ask, Turn
from tests.fakes.asgi import Answered, Surface
from tests.fakes.binary import binary_form, binary_head
from tests.fakes.graphs import BAD, V, logits_of
from tests.fakes.model import WordyModel
from tests.fakes.process import Process
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
OCTETS = "application/octet-stream"
N, T = 2, 3


async def post(surface: Surface, document: dict[str, Any], values: Array) -> Answered:
    content = orjson.dumps(document)
    headers = {"content-type": OCTETS, "inference-header-content-length": str(len(content))}
    return await surface.client.post("/steps", content + values.tobytes(), headers)


def told(answered: Answered) -> tuple[dict[str, Any], Array | None]:
    """An answer's JSON and its tensor."""
    assert (answered.status, answered.headers["content-type"]) == (200, OCTETS)
    length = int(answered.headers["inference-header-content-length"])
    document = orjson.loads(answered.body[:length])
    if "outputs" not in document:
        assert length == len(answered.body)
        return document, None
    (output,) = document["outputs"]
    assert output["parameters"]["binary_data_size"] == len(answered.body) - length
    dtype = {"FP32": "<f4", "INT64": "<i8"}[output["datatype"]]
    return document, np.frombuffer(answered.body[length:], dtype).reshape(output["shape"])


async def test_an_item_that_is_none_is_refused_for_itself(surface: Surface, process: Process) -> None:
    ids = [await process.create() for _ in range(3)]
    values = np.array([[1], [2], [3]])
    document = binary_head(ids, values)
    document["items"][1]["step"] = -1
    answer, logits = told(await post(surface, document, values))
    assert [(item["session_id"], item["status"]) for item in answer["items"]] == list(
        zip(ids, (200, 422, 200), strict=True)
    )
    assert logits is not None
    assert not logits[1].any()
    assert [(await process.sessions.get("ann", each)).step for each in ids] == [1, 0, 1]


async def test_each_row_is_a_step_of_its_session(surface: Surface, process: Process) -> None:
    ids = [await process.create() for _ in range(N)]
    values = np.array([[1, 2, 3], [4, 5, 6]])
    document, logits = told(await post(surface, binary_head(ids, values), values))
    assert document["items"] == [{"session_id": each, "status": 200, "step": 1} for each in ids]
    assert document["outputs"][0]["name"] == "logits"
    np.testing.assert_array_equal(logits, logits_of(np.cumsum(values, axis=1)))
    assert [await process.count(each) for each in ids] == [6, 15]


async def test_an_argmax_is_whole_numbers_and_nothing_returned_is_no_tensor(surface: Surface, process: Process) -> None:
    ids = [await process.create() for _ in range(N)]
    values = np.array([[1, 2, 3], [4, 5, 6]])
    document, argmax = told(await post(surface, binary_head(ids, values, **{"return": "argmax"}), values))
    assert argmax is not None
    assert (document["outputs"][0]["name"], argmax.dtype) == ("argmax", np.int64)
    np.testing.assert_array_equal(argmax, logits_of(np.cumsum(values, axis=1)).argmax(axis=-1))
    document, nothing = told(await post(surface, binary_head(ids, values, **{"return": "none"}), values))
    assert ([item["step"] for item in document["items"]], nothing) == ([2, 2], None)


async def test_refused_items_have_rows_of_zeros_and_their_problem(surface: Surface, process: Process) -> None:
    ids = ["nobody", *[await process.create() for _ in range(4)]]
    values = np.array([[1, 2, 3], [4, 5, 6], [7, 100, 9], [1, BAD, 1], [2, 2, 2]])
    document = binary_head(ids, values)
    document["items"][4]["step"] = 3
    answer, logits = told(await post(surface, document, values))
    assert [item["status"] for item in answer["items"]] == [404, 200, 422, 500, 409]
    assert answer["items"][4]["problem"]["expected_step"] == 0
    assert logits is not None
    assert logits.shape == (5, T, 5)
    np.testing.assert_array_equal(logits[1], logits_of(np.array([4, 9, 15])))
    assert not logits[[0, 2, 3, 4]].any()


async def test_refusals_only_are_no_tensor(surface: Surface) -> None:
    values = np.array([[1, 2, 3]])
    answer, logits = told(await post(surface, binary_head(["nobody"], values), values))
    assert (answer["items"][0]["status"], logits) == (404, None)


async def test_tensors_for_a_model_that_reads_none_are_refused_and_change_nothing(
    surface: Surface, process: Process
) -> None:
    process.serve(WordyModel)
    session_id = await process.create()
    values = np.array([[1, 2, 3]])
    answer, _ = told(await post(surface, binary_head([session_id], values), values))
    assert answer["items"][0]["status"] == 422
    assert "sum reads no tensors, only its own form of input" in answer["items"][0]["problem"]["detail"]
    assert (await process.sessions.get("ann", session_id)).step == 0


async def test_rows_whose_answers_would_be_too_large_together_are_refused(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tasks.task.MAX_ANSWERED_VALUES", N * T * V - 1)
    ids = [await process.create() for _ in range(N)]
    values = np.array([[1, 2, 3], [4, 5, 6]])
    answer, _ = told(await post(surface, binary_head(ids, values), values))
    assert [item["status"] for item in answer["items"]] == [413] * N
    assert process.graphs["0"].runs == []
    document, argmax = told(await post(surface, binary_head(ids, values, **{"return": "argmax"}), values))
    assert argmax is not None
    assert (document["outputs"][0]["name"], argmax.dtype) == ("argmax", np.int64)


async def test_a_repeated_row_has_the_bits_of_the_first_time(surface: Surface, process: Process) -> None:
    ids = [await process.create() for _ in range(N)]
    values = np.array([[1, 2, 3], [4, 5, 6]])
    document = binary_head(ids, values)
    document["items"][0]["step"] = 0
    _, first = told(await post(surface, document, values))
    answer, again = told(await post(surface, document, values))
    assert [item["step"] for item in answer["items"]] == [1, 2]
    assert first is not None
    assert again is not None
    assert again[0].tobytes() == first[0].tobytes()


async def test_floats_survive_their_way_through_a_kept_answer() -> None:
    logits = np.array([[0.1, 1 / 3, -1e-30, 3.4e38, 16777217.0]], dtype=np.float32)
    turn = Turn(Ask("ann", "id"), lambda _: None)
    turn.answer = Answer("id", 1, orjson.dumps({"logits": logits}, option=orjson.OPT_SERIALIZE_NUMPY))
    content, length = binary.write([turn])
    assert content[length:] == logits.tobytes()


async def test_one_session_may_have_several_rows_in_order(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    values = np.array([[1, 2, 3], [4, 5, 6]])
    answer, logits = told(await post(surface, binary_head([session_id] * 2, values), values))
    assert [item["step"] for item in answer["items"]] == [1, 2]
    assert logits is not None
    np.testing.assert_array_equal(logits.reshape(6, 5), logits_of(np.cumsum(np.arange(1, 7))))


def answered(session_id: str, values: Array) -> Turn:
    turn = Turn(Ask("ann", session_id), lambda _: None)
    outputs = orjson.dumps({"logits": values}, option=orjson.OPT_SERIALIZE_NUMPY)
    turn.answer = Answer(session_id, 1, outputs, values)
    return turn


def test_an_output_of_another_shape_is_told_in_its_items_json() -> None:
    small, large = np.ones((T, 2), np.float32), np.full((T, 4), np.inf, np.float32)
    refused = Turn(Ask("ann", "c"), lambda _: None)
    refused.error = StepConflict("not next", 3)
    content, length = binary.write([answered("a", large), answered("b", small), refused])
    document = orjson.loads(content[:length])
    assert document["items"][0] == {"session_id": "a", "status": 200, "step": 1}
    assert document["items"][1]["outputs"] == {"logits": small.tolist()}
    rows = np.frombuffer(content[length:], np.float32).reshape(document["outputs"][0]["shape"])
    assert rows.shape == (3, T, 4)
    np.testing.assert_array_equal(rows[0], large)
    assert not rows[1:].any()


async def test_changed_numerics_are_told(store: FaultyStore) -> None:
    async with Process(store, numerics=b"there...") as there:
        session_id = await there.create()
        await there.ids(session_id, 1)
    async with Process(store, numerics=b"here....") as here:
        values = np.array([[1, 2, 3]])
        answer, _ = told(await post(Surface(here), binary_head([session_id], values), values))
        assert answer["items"][0]["status"] == 412
        document = binary_head([session_id], values, allow_numerics_change=True)
        answer, _ = told(await post(Surface(here), document, values))
        assert answer["items"][0] == {"session_id": session_id, "status": 200, "step": 2, "numerics_changed": True}


GOOD = np.array([[1, 2, 3], [4, 5, 6]])


def wrong(**tensor: object) -> bytes:
    document = binary_head(["a", "b"], GOOD)
    document["inputs"][0].update(tensor)
    return orjson.dumps(document)


@pytest.mark.parametrize(
    ("content", "blob", "length", "error"),
    [
        (wrong(), GOOD.tobytes()[:-1], None, Malformed),
        (wrong(), GOOD.tobytes() + b"1", None, Malformed),
        (wrong(), b"", None, Malformed),
        (wrong(), GOOD.tobytes(), b"", Malformed),
        (wrong(), GOOD.tobytes(), b"-1", Malformed),
        (wrong(), GOOD.tobytes(), b"0x10", Malformed),
        (wrong(), GOOD.tobytes(), b"99999999", Malformed),
        (wrong(), GOOD.tobytes(), b"20", Malformed),
        (wrong(), GOOD.tobytes(), b"\xb2", Malformed),
        (wrong(), GOOD.tobytes(), b"1" * 5000, Malformed),
        (wrong(parameters={"binary_data_size": 47}), GOOD.tobytes(), None, Malformed),
        (wrong(shape=[2, 2]), GOOD.tobytes(), None, Malformed),
        (wrong(shape=[2**40, 2**40]), GOOD.tobytes(), None, Malformed),
        (wrong().replace(b"[2,3]", b"[%b,%b]" % (b"9" * 4000, b"9" * 4000)), GOOD.tobytes(), None, Malformed),
        (wrong(shape=[3, 2]), GOOD.tobytes(), None, InvalidInput),
        (wrong(shape=[6]), GOOD.tobytes(), None, InvalidInput),
        (wrong(shape=[2, 3, 1, 1]), GOOD.tobytes(), None, InvalidInput),
        (wrong(shape=[2, 0]), b"", None, InvalidInput),
        (wrong(shape=[-2, -3]), GOOD.tobytes(), None, InvalidInput),
        (wrong(datatype="FP32"), GOOD.tobytes(), None, InvalidInput),
        (b"{}", b"", None, InvalidInput),
        (b"", b"", None, Malformed),
    ],
)
def test_what_does_not_add_up_is_refused(
    content: bytes, blob: bytes, length: bytes | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        binary.read(content + blob, b"%d" % len(content) if length is None else length)


@pytest.mark.parametrize("shape", [(N, T, 1), (N, 1, T)])
async def test_tensors_of_another_rank_than_the_model_reads_are_refused(
    surface: Surface, process: Process, shape: tuple[int, ...]
) -> None:
    ids = [await process.create() for _ in range(N)]
    values = np.arange(math.prod(shape)).reshape(shape)
    answer, _ = told(await post(surface, binary_head(ids, values), values))
    assert [item["status"] for item in answer["items"]] == [422, 422]


async def test_tensors_of_another_dtype_than_the_model_reads_are_refused(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    values = np.ones((1, T))
    answer, _ = told(await post(surface, binary_head([session_id], values), values))
    assert answer["items"][0]["status"] == 422
    assert "INT64" in answer["items"][0]["problem"]["detail"]


async def test_a_binary_body_that_is_refused_is_a_problem(surface: Surface) -> None:
    answered = await surface.client.post("/steps", struct.pack("<I", 7), {"content-type": OCTETS})
    assert (answered.status, answered.headers["content-type"]) == (400, "application/problem+json")


async def test_a_binary_step_may_have_as_many_items_as_one_in_json(process: Process) -> None:
    session_id = await process.create()
    values = np.ones((1, MAX_STEP_ITEMS + 1), np.int64)
    content, length = binary_form([session_id], values)
    (in_binary,) = binary.read(content, b"%d" % length).asks("ann")
    in_json = Ask("ann", session_id, None, {"ids": values[0].tolist()})
    errors = []
    for ask in (in_binary, in_json):
        with pytest.raises(InvalidInput) as refused:
            await process.steps.take(ask)
        errors.append(refused.value.errors)
    assert errors[0] == errors[1]
    assert (await process.sessions.get("ann", session_id)).step == 0


@pytest.mark.parametrize("returns", ["argmax", "none"])
async def test_rows_that_step_together_are_answered_beside_those_that_are_refused(returns: str) -> None:
    store = FaultyStore(is_immediate=True)
    async with Process(store, max_recent=50) as process:
        surface, ids = Surface(process), [await process.create() for _ in range(12)]
        ones = np.ones((12, T), np.int64)
        document = binary_head(ids, ones, **{"return": returns})
        await post(surface, document, ones)
        document["items"][0]["session_id"] = "nobody"
        document["items"][1]["step"] = 7
        document["items"][2]["session_id"] = ids[3]
        values = np.arange(12 * T).reshape(12, T) % 10
        answer, argmax = told(await post(surface, document, values))
        assert [len(group.steps) for groups in store.advances for group in groups if len(group.steps) > 1] != []
        assert await process.count(ids[3]) == T + values[2:4].sum()
    assert [item["status"] for item in answer["items"]] == [404, 409, *[200] * 10]
    assert [item["step"] for item in answer["items"][2:]] == [2, 3, *[2] * 8]
    if returns == "none":
        assert argmax is None
        return
    before = np.full((12, 1), T)
    before[3] += values[2].sum()
    expected = logits_of(before + np.cumsum(values, axis=1)).argmax(axis=-1)
    expected[:2] = 0
    np.testing.assert_array_equal(argmax, expected)
