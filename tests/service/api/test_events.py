"""A generated text as events: only the last one acknowledges the step."""

import asyncio
import time
from collections.abc import AsyncGenerator

import orjson
import pytest
from starlette.types import Message

from service.api.client_watch import CLIENT_CLOSED_REQUEST
from service.api.events import PIECES, EventStream, event, piece_event
from service.api.measure import MeasureMiddleware
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.engine.state import Array
from service.errors import DeadlineExceeded
from service.forms.sessions import SessionRequest
from service.metrics import Metrics
from service.steps import step_rules
from service.tasks.generation import GenerationModel
from service.tasks.language import LanguageModel
from tests.fakes.asgi import Answered, Client, Exchange, Surface
from tests.fakes.gated import GatedBuilder, GatedRuntime
from tests.fakes.graphs import RecordingObserver
from tests.fakes.process import Process, settle, two_processes, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
NUM_TOKENS = 90  # at least three runs


def test_a_piece_is_named_like_its_first_field() -> None:
    assert piece_event({"text": "a", "seed": 3}) == b'event: text\ndata: {"text":"a","seed":3}\n\n'


def test_a_repeated_step_of_every_language_model_can_be_streamed() -> None:
    assert {model.piece_name for model in LanguageModel.__subclasses__()} == set(PIECES) == {"text", "frames"}


@pytest.fixture
async def session_id(process: Process, runtime: GatedRuntime) -> str:
    assert runtime.num_begun == 0
    return (await process.openings.create("ann", SessionRequest(model="generation"))).session_id


async def serve_generation(process: Process, generation: Runtime) -> str:
    """Serve the shipped model in a process too; the id of a new session of it."""
    process.catalog.add(GenerationModel(generation.bundle, Engine(generation, RecordingObserver())))
    process.catalog.make_current(generation.bundle.tag)
    return (await process.openings.create("ann", SessionRequest(model="generation"))).session_id


def generate(surface: Surface, session_id: str, step: int | None = 0, **sampling: object) -> Exchange:
    """Begin a step that is answered as events."""
    inputs = {"generate": {"max_tokens": NUM_TOKENS, **sampling}}
    body = orjson.dumps({"inputs": inputs, "step": step, "stream": True})
    return surface.client.begin("POST", f"/sessions/{session_id}/steps", body)


def events(body: bytes) -> list[tuple[str, dict]]:
    """The events of a body, which is whole."""
    assert body == b"" or body.endswith(b"\n\n")
    lines = [part.split(b"\n") for part in body.split(b"\n\n")[:-1]]
    return [
        (name.removeprefix(b"event: ").decode(), orjson.loads(data.removeprefix(b"data: "))) for name, data in lines
    ]


def num_counted(process: Process, endpoint: str, status: int) -> float | None:
    """How many requests are counted with this status."""
    process.metrics.flush()
    return process.metrics.registry.get_sample_value("rnn_requests_total", {"endpoint": endpoint, "code": str(status)})


def text_of(told: list[tuple[str, dict]]) -> str:
    return "".join(data["text"] for name, data in told if name == "text")


async def whole(surface: Surface, session_id: str, step: int | None = 0, **sampling: object) -> Answered:
    """The answer of the same step without events."""
    body = {"inputs": {"generate": {"max_tokens": NUM_TOKENS, **sampling}}, "step": step}
    return await surface.client.post(f"/sessions/{session_id}/steps", body)


def test_an_event_has_a_name_and_its_data_on_one_line() -> None:
    assert event("text", b"{}") == b"event: text\ndata: {}\n\n"


@pytest.mark.parametrize("unread", ["http.response.start", "http.response.body"])
async def test_a_stream_whose_client_leaves_without_reading_is_closed_with_its_response(unread: str) -> None:
    is_sending, is_closed = asyncio.Event(), False

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal is_closed
        try:
            while True:
                yield b"data: {}\n\n"
        finally:
            is_closed = True

    async def receive() -> Message:
        await is_sending.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == unread:
            is_sending.set()
            await asyncio.Event().wait()

    events = endless()  # held here, so that it is not closed by being collected
    response = EventStream(events)
    await response({"type": "http"}, receive, send)
    assert is_closed
    assert response.status_code == CLIENT_CLOSED_REQUEST


async def test_a_stream_that_fails_is_counted_as_its_error_by_the_layer_that_sees_only_the_200_too() -> None:
    async def failing() -> AsyncGenerator[bytes]:
        yield b"data: {}\n\n"
        raise DeadlineExceeded("it took too long")

    metrics = Metrics()
    answered = await Client(MeasureMiddleware(EventStream(failing()), metrics.requests_tally)).post("/generate", b"")
    (_, problem) = events(answered.body.removeprefix(b"data: {}\n\n"))[-1]
    assert (answered.status, problem["status"]) == (200, 504)
    metrics.flush()
    sample = metrics.registry.get_sample_value
    assert sample("rnn_requests_total", {"endpoint": "/generate", "code": "504"}) == 1


async def test_a_stream_is_logged_if_it_fails_and_not_if_it_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(error: Exception) -> AsyncGenerator[bytes]:
        yield b"data: {}\n\n"
        raise error

    for error in (DeadlineExceeded("it took too long"), RuntimeError("out of memory")):
        answered = await Client(EventStream(failing(error))).post("/generate", b"")
        assert b"memory" not in answered.body
    (record,) = caplog.records
    assert record.message == "a stream of server-sent events failed"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "out of memory"


async def test_a_text_comes_in_pieces_and_ends_with_the_steps_answer(surface: Surface, session_id: str) -> None:
    answered = await generate(surface, session_id).answered()
    assert (answered.status, answered.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert (answered.headers["cache-control"], answered.headers["x-accel-buffering"]) == ("no-store", "no")
    told = events(answered.body)
    assert len(told) >= 4
    assert [name for name, _ in told] == ["text"] * (len(told) - 1) + ["done"]
    done = told[-1][1]
    assert (done["session_id"], done["step"]) == (session_id, 1)
    assert text_of(told) == done["outputs"]["text"]
    assert len(text_of(told)) == NUM_TOKENS


async def test_the_time_to_the_first_piece_is_measured_once(
    surface: Surface, session_id: str, process: Process, runtime: GatedRuntime
) -> None:
    sample = process.metrics.registry.get_sample_value

    def count() -> float | None:
        return sample("rnn_time_to_first_token_seconds_count")

    began = time.perf_counter()
    runtime.permit(1)
    exchange = generate(surface, session_id)
    await until(lambda: runtime.num_begun == 2)  # to count takes so long that nothing else would have its turn
    await until(lambda: count() == 1)
    runtime.open()
    await exchange.answered()
    await generate(surface, session_id).answered()  # the same again, from the store
    assert count() == 1
    assert 0 < (sample("rnn_time_to_first_token_seconds_sum") or 0) < time.perf_counter() - began


async def test_what_fails_before_its_first_event_is_no_stream(
    surface: Surface, session_id: str, runtime: GatedRuntime
) -> None:
    def fail(*_: object) -> list[Array]:
        raise RuntimeError("out of memory")

    runtime.run = fail  # type: ignore[method-assign]
    answered = await generate(surface, session_id).answered()
    assert (answered.status, answered.headers["content-type"]) == (500, "application/problem+json")
    assert b"memory" not in answered.body


async def test_a_streamed_step_and_a_whole_one_are_the_same_step(surface: Surface, session_id: str) -> None:
    done = events((await generate(surface, session_id).answered()).body)[-1][1]
    assert (await whole(surface, session_id)).json() == done


async def test_after_the_commit_a_retry_repeats_the_whole_text(
    surface: Surface, session_id: str, runtime: GatedRuntime
) -> None:
    first = events((await generate(surface, session_id).answered()).body)
    num_begun = runtime.num_begun
    again = events((await generate(surface, session_id).answered()).body)
    assert [name for name, _ in again] == ["text", "done"]
    assert again[-1] == first[-1]
    assert text_of(again) == text_of(first)
    assert runtime.num_begun == num_begun


@pytest.mark.parametrize("num_runs", [0, 1, 2])
async def test_a_client_that_hangs_up_before_the_commit_commits_nothing_and_a_retry_gives_the_same_text(
    surface: Surface, process: Process, session_id: str, runtime: GatedRuntime, num_runs: int
) -> None:
    runtime.permit(num_runs)
    exchange = generate(surface, session_id)
    await until(lambda: runtime.num_begun == num_runs + 1 and exchange.body.count(b"event: text") == num_runs)
    exchange.hang_up()
    await exchange.answered()
    before = text_of(events(exchange.body))
    runtime.open()
    await settle()
    assert process.steps.is_idle
    assert (await process.sessions.get("ann", session_id)).step == 0
    told = events((await generate(surface, session_id).answered()).body)
    assert bool(before) == bool(num_runs)
    assert text_of(told).startswith(before)
    assert told[-1][1]["step"] == 1


async def test_a_client_that_hangs_up_before_the_first_event_is_counted_as_gone(
    surface: Surface, process: Process, session_id: str, runtime: GatedRuntime
) -> None:
    runtime.permit(0)
    exchange = generate(surface, session_id)
    await until(lambda: runtime.num_begun == 1)
    exchange.hang_up()
    assert (await exchange.answered()).status == 499
    assert process.steps.is_idle


async def test_a_client_that_hangs_up_during_the_commit_has_taken_its_step(
    surface: Surface, process: Process, session_id: str, store: FaultyStore
) -> None:
    store.may_swap.clear()
    exchange = generate(surface, session_id)
    await until(lambda: store.num_held == 1)
    exchange.hang_up()
    await exchange.answered()
    assert "done" not in dict(events(exchange.body))
    store.may_swap.set()
    await until(lambda: process.steps.is_idle)
    assert (await process.sessions.get("ann", session_id)).step == 1
    told = events((await generate(surface, session_id).answered()).body)
    assert text_of(told) == text_of(events(exchange.body))


async def test_a_store_that_fails_at_the_commit_is_an_error_event_and_a_retry_gives_the_same_text(
    surface: Surface, process: Process, session_id: str, store: FaultyStore
) -> None:
    store.may_swap.clear()
    exchange = generate(surface, session_id)
    await until(lambda: store.num_held == 1)
    store.is_down = True
    store.may_swap.set()
    answered = await exchange.answered()
    name, problem = events(answered.body)[-1]
    assert (answered.status, name, problem["status"]) == (200, "error", 503)
    assert num_counted(process, "/sessions/{id}/steps", 503) == 1
    store.is_down = False
    told = events((await generate(surface, session_id).answered()).body)
    assert text_of(told) == text_of(events(answered.body))


async def test_a_step_that_takes_too_long_ends_with_an_error_event(generation: Runtime, store: FaultyStore) -> None:
    async with Process(store, timeout_seconds=0.3) as process:
        gated = GatedRuntime(generation)
        process.catalog.add(
            GenerationModel(
                generation.bundle, Engine(gated, RecordingObserver(), builder=GatedBuilder(generation.bundle))
            )
        )
        process.catalog.make_current(generation.bundle.tag)
        session_id = (await process.openings.create("ann", SessionRequest(model="generation"))).session_id
        gated.permit(1)
        answered = await generate(Surface(process), session_id).answered()
        told = events(answered.body)
        gated.open()
        assert [name for name, _ in told] == ["text", "error"]
        assert told[-1][1]["status"] == 504
        assert (await process.sessions.get("ann", session_id)).step == 0


async def test_a_stream_tells_one_text_though_the_session_has_moved_on_since_its_last_step(
    generation: Runtime, store: FaultyStore
) -> None:
    async with Process(store, max_cached_sessions=10) as process:
        session_id = await serve_generation(process, generation)
        await process.ids(session_id, 3, 7)
        await process.transitions.save("ann", session_id, "start")
        told = events((await generate(Surface(process), session_id, None).answered()).body)
        assert told[-1][1]["step"] == 3
        assert text_of(told) == told[-1][1]["outputs"]["text"]


async def test_a_stream_without_a_number_that_loses_its_step_is_a_conflict_and_tells_no_second_text(
    surface: Surface, session_id: str, store: FaultyStore
) -> None:
    store.may_swap.clear()
    exchange = generate(surface, session_id, None)
    await until(lambda: store.num_held == 1)
    await store.change(session_id, step=1)
    store.may_swap.set()
    told = events((await exchange.answered()).body)
    name, problem = told[-1]
    assert (name, problem["status"], problem["expected_step"]) == ("error", 409, 1)
    assert len(text_of(told)) == NUM_TOKENS


@pytest.mark.parametrize("max_kept_bytes", [0, 2**16])
async def test_a_stream_that_loses_to_the_same_step_tells_the_text_once(
    generation: Runtime, monkeypatch: pytest.MonkeyPatch, max_kept_bytes: int
) -> None:
    monkeypatch.setattr(step_rules, "MAX_KEPT_ANSWER_BYTES", max_kept_bytes)
    async with two_processes() as (store, one, other):
        session_id = await serve_generation(one, generation)
        await serve_generation(other, generation)
        store.may_swap.clear()
        winner = asyncio.create_task(whole(Surface(one), session_id))
        await until(lambda: store.num_held == 1)
        exchange = generate(Surface(other), session_id)
        await until(lambda: store.num_held == 2)
        store.may_swap.set()
        told = events((await exchange.answered()).body)
        assert told[-1] == ("done", (await winner).json())
        assert text_of(told) == told[-1][1]["outputs"]["text"]


async def test_a_stop_string_is_never_sent_in_part(surface: Surface, session_id: str) -> None:
    text = text_of(events((await generate(surface, session_id, seed=5).answered()).body))
    stop = text[40:44]
    told = events((await generate(surface, session_id, 1, seed=5, stop=stop).answered()).body)
    sent = text_of(told)
    assert stop not in sent
    assert told[-1][1]["outputs"]["text"] == sent


async def test_a_refusal_before_the_first_event_is_a_problem_with_its_status(surface: Surface, session_id: str) -> None:
    for step, sampling, status in ((3, {}, 409), (0, {"top_k": 1000}, 422), (0, {"max_tokens": 0}, 422)):
        answered = await generate(surface, session_id, step, **sampling).answered()
        assert (answered.status, answered.headers["content-type"]) == (status, "application/problem+json")
    answered = await generate(surface, "nobody").answered()
    assert answered.status == 404


@pytest.mark.parametrize("inputs", [{"text": "a"}, {"ids": [3]}, {"text": "a", "generate": {}}, {}])
async def test_only_a_generated_text_is_streamed(surface: Surface, session_id: str, inputs: dict[str, object]) -> None:
    body = {"inputs": inputs, "stream": True}
    answered = await surface.client.post(f"/sessions/{session_id}/steps", body)
    assert answered.status == 422
