"""Steps over HTTP: one, and many in one request."""

import orjson
import pytest

from service.errors import StepConflict
from service.steps.turn import Ask
from tests.fakes.asgi import MAX_BYTES, Surface
from tests.fakes.graphs import V
from tests.fakes.process import Process, noted_sources, settle, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


async def test_a_step_is_answered_with_its_number_and_outputs(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    answered = await surface.client.post(f"/sessions/{session_id}/steps", {"inputs": {"text": "abc"}, "step": 0})
    assert (answered.status, answered.headers["content-type"]) == (200, "application/json")
    assert answered.headers["content-length"] == str(len(answered.body))
    told = answered.json()
    assert (told["session_id"], told["step"], told["outputs"]["count"]) == (session_id, 1, 3)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b"", 422, "invalid-input"),
        (b'\xef\xbb\xbf{"inputs":{"text":"a"}}', 400, "malformed"),
        (b"\xff", 400, "malformed"),
        (b"[]", 422, "invalid-input"),
        (b'{"inputs":{"text":"a"},"sted":1}', 422, "invalid-input"),
        (b'{"inputs":{"txt":"a"}}', 422, "invalid-input"),
        (b'{"inputs":{"text":"a"},"step":-1}', 422, "invalid-input"),
        (b'{"inputs":{"text":"a"},"step":9223372036854775808}', 422, "invalid-input"),
        (b'{"inputs":{"ids":[1]},"return":"all"}', 422, "invalid-input"),
        (b'{"inputs":{"ids":[1180591620717411303424]}}', 422, "invalid-input"),
        (b'{"inputs":{"text":"a"},"step":7}', 409, "step-conflict"),
        (b'{"inputs":{"text":"a"},"stream":true}', 422, "not-streamable"),
        (b" " * (MAX_BYTES + 1), 413, "too-large"),
    ],
)
async def test_a_refusal_is_a_problem(surface: Surface, process: Process, body: bytes, status: int, code: str) -> None:
    session_id = await process.create()
    answered = await surface.client.post(f"/sessions/{session_id}/steps", body)
    assert answered.headers["content-type"] == "application/problem+json"
    problem = answered.json()
    assert (answered.status, problem["status"], problem["type"]) == (status, status, f"urn:unrolled:problem:{code}")
    assert (await process.sessions.get("ann", session_id)).step == 0


async def test_a_conflict_tells_the_step_that_is_due(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    answered = await surface.client.post(f"/sessions/{session_id}/steps", {"inputs": {"text": "a"}, "step": 7})
    assert answered.json()["expected_step"] == 0


async def test_a_conflict_tells_what_became_of_the_step(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    for text in ("a", "b", "c"):
        await surface.client.post(f"/sessions/{session_id}/steps", {"inputs": {"text": text}})
    details = {}
    for step in (0, 2, 4):
        answered = await surface.client.post(f"/sessions/{session_id}/steps", {"inputs": {"text": "x"}, "step": step})
        details[step] = answered.json()["detail"]
    assert details == {
        0: "step 0 was already taken, and only the last step's answer is kept, that of 2; step 3 is next",
        2: "step 2 was already taken by a different request; step 3 is next",
        4: "step 4 is ahead; step 3 is next",
    }


async def test_a_field_that_the_model_lacks_is_told_with_those_that_it_has(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    answered = await surface.client.post(f"/sessions/{session_id}/steps", {"inputs": {"values": {"OT": [1.0]}}})
    unknown, missing = answered.json()["errors"]
    assert unknown["location"] == ["inputs", "values"]
    assert unknown["message"] == "there is no such field; sessions on 'sum' take text, ids"
    assert missing["location"] == ["inputs", "text"]


async def test_a_failure_of_the_service_tells_nothing_of_its_insides(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    answered = await surface.client.post(f"/sessions/{session_id}/steps", {"inputs": {"text": "fail"}})
    assert (answered.status, answered.json()["type"]) == (500, "urn:unrolled:problem:internal-error")
    assert b"the model failed" not in answered.body


async def test_a_store_that_is_down_says_when_to_come_again(
    surface: Surface, process: Process, store: FaultyStore
) -> None:
    session_id = await process.create()
    store.is_down = True
    answered = await surface.client.post(f"/sessions/{session_id}/steps", {"inputs": {"text": "a"}})
    assert (answered.status, answered.headers["retry-after"]) == (503, "1")


async def test_only_json_is_read(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    path, body = f"/sessions/{session_id}/steps", b'{"inputs":{"text":"a"}}'
    assert (await surface.client.post(path, body, {"content-type": "text/plain"})).status == 415
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"):
        assert (await surface.client.post(path, body, {"content-type": kind})).status == 200
    assert (await surface.client.post(path, body, {})).status == 200


@pytest.mark.parametrize("path", ["/sessions//steps", "/sessions/a/b/steps", "/other/steps", "/sessions/steps"])
async def test_other_paths_are_answered_by_the_routes(surface: Surface, path: str) -> None:
    assert (await surface.client.post(path, {"inputs": {"text": "a"}})).status in (404, 405)


async def test_many_steps_are_answered_each_for_itself_in_order(surface: Surface, process: Process) -> None:
    ids = [await process.create() for _ in range(3)]
    items = [
        {"session_id": ids[0], "inputs": {"text": "ab"}, "step": 0},
        {"session_id": ids[1], "inputs": {"text": "ab"}, "step": 5},
        {"session_id": "nobody", "inputs": {"text": "ab"}},
        {"session_id": ids[2], "inputs": {"ids": [2, 3]}, "return": "argmax"},
        {"session_id": ids[2], "inputs": {"text": "fail"}},
        {"session_id": ids[0], "inputs": {"text": "c"}},
    ]
    answered = await surface.client.post("/steps", {"items": items})
    told = answered.json()["items"]
    assert answered.status == 200
    assert [item["status"] for item in told] == [200, 409, 404, 200, 500, 200]
    assert [item["session_id"] for item in told] == [item["session_id"] for item in items]
    assert [item.get("step") for item in told] == [1, None, None, 1, None, 2]
    assert told[1]["problem"]["expected_step"] == 0
    assert list(told[3]["outputs"]) == ["argmax"]
    assert "failed on" not in str(told)


async def test_many_steps_of_nothing_or_too_many_are_refused(surface: Surface) -> None:
    item = {"session_id": "x", "inputs": {}}
    for items in ([], [item] * 1025):
        assert (await surface.client.post("/steps", {"items": items})).status == 422


async def test_an_item_that_is_none_is_refused_for_itself(surface: Surface, process: Process) -> None:
    one, other = [await process.create() for _ in range(2)]
    wrong: list[object] = [
        {"session_id": one, "inputs": {"text": "a"}, "step": -1},
        {"session_id": one, "inputs": {"text": "a"}, "stream": True},
        {"session_id": one, "inputs": None, "more": 1},
        {"session_id": 7, "inputs": {}},
        None,
    ]
    good = [{"session_id": each, "inputs": {"text": "ab"}} for each in (one, other)]
    answered = await surface.client.post("/steps", {"items": [good[0], *wrong, good[1]]})
    told = answered.json()["items"]
    assert [item["status"] for item in told] == [200, *[422] * len(wrong), 200]
    assert [item["session_id"] for item in told] == [one, one, one, one, "", "", other]
    assert [item["problem"]["errors"][0]["location"] for item in told[1:4]] == [["step"], ["stream"], ["more"]]
    assert "leave `stream` out" in told[2]["problem"]["detail"]
    assert [(await process.sessions.get("ann", each)).step for each in (one, other)] == [1, 1]
    sample = process.metrics.registry.get_sample_value
    assert sample("rnn_step_items_total", {"code": "200"}) == 2
    assert sample("rnn_step_items_total", {"code": "422"}) == len(wrong)


async def test_items_that_are_all_wrong_are_all_told_so(surface: Surface) -> None:
    told = (await surface.client.post("/steps", {"items": [{"session_id": "x"}, 3]})).json()["items"]
    assert [item["status"] for item in told] == [422, 422]


async def test_a_request_that_is_wrong_beside_its_items_is_refused_whole(surface: Surface) -> None:
    answered = await surface.client.post("/steps", {"items": [{"session_id": "x"}], "more": 1})
    assert (answered.status, answered.json()["errors"][0]["location"]) == (422, ["more"])


async def test_a_body_that_is_announced_too_large_is_not_read(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    exchange = surface.client.begin(
        "POST",
        f"/sessions/{session_id}/steps",
        None,
        {"content-type": "application/json", "content-length": str(MAX_BYTES + 1)},
    )
    exchange.send_body(b"{", more_body=True)
    assert (await exchange.answered()).status == 413


async def test_a_body_that_is_compressed_is_refused_as_such(surface: Surface, process: Process) -> None:
    path = f"/sessions/{await process.create()}/steps"
    answered = await surface.client.post(path, b"\x1f\x8b", {"content-encoding": "gzip"})
    assert (answered.status, answered.json()["detail"]) == (415, "send the body as it is, not in 'gzip'")


async def test_a_client_that_hangs_up_during_a_long_step_commits_nothing(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    exchange = surface.client.begin("POST", f"/sessions/{session_id}/steps", b'{"inputs":{"text":"wait"},"step":0}')
    await until(lambda: process.model.num_computed == 1)
    exchange.hang_up()
    assert (await exchange.answered()).status == 499
    process.model.go.set()
    await settle()
    assert (await process.text(session_id, "abc", 0)).step == 1


async def test_a_client_that_hangs_up_during_many_long_steps_commits_none(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    body = {"items": [{"session_id": session_id, "inputs": {"text": "wait"}, "step": 0}]}
    exchange = surface.client.begin("POST", "/steps", orjson.dumps(body))
    await until(lambda: process.model.num_computed == 1)
    exchange.hang_up()
    assert (await exchange.answered()).status == 499
    process.model.go.set()
    await settle()
    assert (await process.text(session_id, "abc", 0)).step == 1


async def test_a_body_that_never_comes_whole_is_no_request(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    exchange = surface.client.begin("POST", f"/sessions/{session_id}/steps", None)
    exchange.send_body(b'{"inp', more_body=True)
    exchange.hang_up()
    assert (await exchange.answered()).status == 499


async def test_a_body_may_come_in_pieces(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    exchange = surface.client.begin("POST", f"/sessions/{session_id}/steps", None)
    for piece, more in ((b'{"inputs":', True), (b'{"text"', True), (b':"ab"}}', False)):
        exchange.send_body(piece, more)
    assert (await exchange.answered()).json()["outputs"]["count"] == 2


async def test_a_request_of_many_that_is_cancelled_calls_its_steps_off(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    body = {"items": [{"session_id": session_id, "inputs": {"text": "wait"}, "step": 0}]}
    exchange = surface.client.begin("POST", "/steps", orjson.dumps(body))
    await until(lambda: process.model.num_computed == 1)
    await exchange.cancel()
    await settle()
    assert (await process.text(session_id, "a", 0)).step == 1


async def test_every_request_is_counted_with_its_status(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    path = f"/sessions/{session_id}/steps"
    for body in ({"inputs": {"text": "a"}}, {"inputs": {"text": "a"}}, {"inputs": {}}, {"inputs": {"text": "fail"}}):
        await surface.client.post(path, body)
    process.metrics.flush()

    def count(code: str) -> float | None:
        labels = {"endpoint": "/sessions/{id}/steps", "code": code}
        return process.metrics.registry.get_sample_value("rnn_requests_total", labels)

    assert [count(code) for code in ("200", "422", "500")] == [2, 1, 1]


async def test_a_step_over_http_and_one_in_the_core_are_the_same(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    answered = await surface.client.post(f"/sessions/{session_id}/steps", {"inputs": {"ids": [1, 2]}, "step": 0})
    again = await process.steps.take(Ask("ann", session_id, 0, {"ids": [1, 2]}))
    assert again.json() == answered.body
    with pytest.raises(StepConflict):
        await process.ids(session_id, 2, 1, step=0)


@pytest.fixture
def few_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are answered the logits of four items at most."""
    monkeypatch.setattr("service.tasks.task.MAX_ANSWERED_VALUES", 4 * V)


@pytest.mark.usefixtures("few_logits")
@pytest.mark.parametrize(
    ("num_ids", "returns", "status"),
    [(4, None, 200), (5, None, 413), (5, "logits", 413), (5, "argmax", 200), (5, "none", 200)],
)
async def test_an_answer_that_would_be_too_large_is_refused_before_anything_is_computed(
    surface: Surface, process: Process, num_ids: int, returns: str | None, status: int
) -> None:
    session_id = await process.create()
    body = {"inputs": {"ids": [1] * num_ids}, "return": returns}
    answered = await surface.client.post(f"/sessions/{session_id}/steps", body)
    assert answered.status == status
    assert bool(process.graphs["0"].runs) is (status == 200)
    assert (await process.sessions.get("ann", session_id)).step == int(status == 200)
    if status == 413:
        assert answered.json()["type"] == "urn:unrolled:problem:too-large"
        assert "5 items would return 25 logits" in answered.json()["detail"]
        assert "send at most 4 items at a time" in answered.json()["detail"]


@pytest.mark.usefixtures("few_logits")
async def test_an_answer_that_is_kept_is_told_however_large_the_request_is_that_repeats_it(
    surface: Surface, process: Process
) -> None:
    ids = [await process.create() for _ in range(2)]
    step = {"session_id": ids[0], "step": 0, "inputs": {"ids": [1, 2]}, "return": "logits"}
    other = {"session_id": ids[1], "inputs": {"ids": [1, 2, 3]}, "return": "logits"}
    (first,) = (await surface.client.post("/steps", {"items": [step]})).json()["items"]
    again, refused = (await surface.client.post("/steps", {"items": [step, other]})).json()["items"]
    assert again == first
    assert (first["status"], refused["status"]) == (200, 413)


@pytest.mark.usefixtures("few_logits")
async def test_the_answers_of_all_steps_of_a_request_count_together(surface: Surface, process: Process) -> None:
    ids = [await process.create() for _ in range(3)]

    async def statuses(num_ids: int, *returns: str) -> list[int]:
        asked = zip(ids, returns, strict=True)
        items = [{"session_id": one, "inputs": {"ids": [1] * num_ids}, "return": each} for one, each in asked]
        return [item["status"] for item in (await surface.client.post("/steps", {"items": items})).json()["items"]]

    assert await statuses(2, "logits", "logits", "none") == [200, 200, 200]
    assert await statuses(2, "logits", "logits", "logits") == [413, 413, 413]
    assert await statuses(2, "argmax", "argmax", "argmax") == [200, 200, 200]


async def test_the_steps_of_a_request_share_a_source_with_no_other(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = noted_sources(process, monkeypatch)
    items = [{"session_id": await process.create(), "inputs": {"ids": [1]}} for _ in range(2)]
    for _ in range(2):
        await surface.client.post("/steps", {"items": items})
    assert None not in sources
    assert sources[0] is sources[1] is not sources[2] is sources[3]
