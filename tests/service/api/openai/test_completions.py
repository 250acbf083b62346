"""Texts in OpenAI's form, written by the shipped bundle: the same as `/generate` writes."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from service.api.openai.routes import COMPLETIONS
from service.engine.state import Array
from tests.fakes.asgi import Answered, Surface
from tests.fakes.gated import GatedRuntime
from tests.fakes.process import Process, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
ASKED: dict[str, Any] = {"prompt": "ROMEO:\n", "max_tokens": 90, "temperature": 0.7, "seed": 7}  # at least three runs
Json = dict[str, Any]


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    async with Process(FaultyStore()) as opened:
        yield opened


@pytest.fixture
def surface(process: Process, runtime: GatedRuntime) -> Surface:
    assert runtime.num_begun == 0
    return Surface(process)


async def post(surface: Surface, **fields: object) -> Answered:
    return await surface.client.post(COMPLETIONS, {"model": "generation", **ASKED, **fields})


async def completed(surface: Surface, **fields: object) -> Json:
    answered = await post(surface, **fields)
    assert answered.status == 200, answered.body
    completion: Json = answered.json()
    return completion


async def generated(surface: Surface, **fields: object) -> Json:
    """What `/generate` answers."""
    answered = await surface.client.post("/generate", {"model": "generation", **ASKED, **fields})
    answer: Json = answered.json()
    return answer


async def streamed(surface: Surface, **fields: object) -> list[Json]:
    """The chunks of a stream that comes to its end."""
    answered = await post(surface, stream=True, **fields)
    assert answered.headers["content-type"].partition(";")[0] == "text/event-stream"
    *chunks, done, rest = answered.body.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    return [orjson.loads(chunk.removeprefix(b"data: ")) for chunk in chunks]


def texts(completion: Json) -> list[str]:
    return [choice["text"] for choice in completion["choices"]]


def put_together(chunks: list[Json]) -> dict[int, str]:
    """The texts of a stream by their places."""
    written: dict[int, str] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        written[choice["index"]] = written.get(choice["index"], "") + choice["text"]
    return written


async def test_a_completion_is_what_generate_writes(surface: Surface, process: Process) -> None:
    answer = await generated(surface)
    completion = await completed(surface)
    assert completion.pop("id").startswith("cmpl-")
    assert completion == {
        "object": "text_completion",
        "created": int(process.clock()),
        "model": "generation",
        "system_fingerprint": answer["bundle"],
        "choices": [{"index": 0, "text": answer["text"], "finish_reason": "length", "logprobs": None, "seed": 7}],
        "usage": answer["usage"],
    }


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"top_p": 0.5}, {"top_k": 3}, {"stop": [" the", "\n\n"]}])
async def test_sampling_is_that_of_generate(surface: Surface, sampling: Json) -> None:
    answer = await generated(surface, **sampling)
    (choice,) = (await completed(surface, **sampling))["choices"]
    assert (choice["text"], choice["finish_reason"]) == (answer["text"], answer["finish_reason"])


async def test_a_text_that_ends_before_a_stop_string_says_so(surface: Surface) -> None:
    stop = (await generated(surface))["text"][20:24]
    (choice,) = (await completed(surface, stop=stop))["choices"]
    assert choice["finish_reason"] == "stop"
    assert stop not in choice["text"]


async def test_each_prompt_is_continued_as_it_would_be_alone(surface: Surface) -> None:
    prompts = ["ROMEO:\n", "", "O "]
    completion = await completed(surface, prompt=prompts)
    alone = [await generated(surface, prompt=prompt) for prompt in prompts]
    assert texts(completion) == [answer["text"] for answer in alone]
    assert completion["usage"] == {"prompt_tokens": 9, "completion_tokens": 270, "total_tokens": 279}


async def test_continuations_of_a_prompt_have_seeds_that_follow_and_its_characters_are_counted_once(
    surface: Surface,
) -> None:
    completion = await completed(surface, prompt=["A", "BC"], n=2)
    expected = [(prompt, seed) for prompt in ("A", "BC") for seed in (7, 8)]
    assert [choice["seed"] for choice in completion["choices"]] == [seed for _, seed in expected]
    assert [choice["index"] for choice in completion["choices"]] == [0, 1, 2, 3]
    alone = [(await generated(surface, prompt=prompt, seed=seed))["text"] for prompt, seed in expected]
    assert texts(completion) == alone
    assert completion["usage"] == {"prompt_tokens": 3, "completion_tokens": 360, "total_tokens": 363}


async def test_after_the_last_seed_comes_the_first(surface: Surface) -> None:
    completion = await completed(surface, seed=2**63 - 1, n=2, max_tokens=8)
    assert [choice["seed"] for choice in completion["choices"]] == [2**63 - 1, 0]


async def test_a_seed_that_is_drawn_is_told_and_gives_the_text_again(surface: Surface) -> None:
    drawn = await completed(surface, seed=None)
    again = await completed(surface, seed=drawn["choices"][0]["seed"])
    assert texts(again) == texts(drawn)
    assert again["id"] != drawn["id"]


async def test_an_echo_begins_each_text_with_its_prompt(surface: Surface) -> None:
    plain = await completed(surface, prompt=["A", "B"], n=2)
    echoed = await completed(surface, prompt=["A", "B"], n=2, echo=True)
    begins = zip("AABB", texts(plain), strict=True)
    assert texts(echoed) == [prompt + text for prompt, text in begins]
    assert echoed["usage"] == plain["usage"]


@pytest.mark.parametrize("fields", [{}, {"echo": True}, {"prompt": ["A", "BC"], "n": 2}, {"stop": "e"}])
async def test_a_stream_is_the_completion_in_pieces(surface: Surface, fields: Json) -> None:
    whole = await completed(surface, **fields)
    chunks = await streamed(surface, **fields)
    assert list(dict(sorted(put_together(chunks).items())).values()) == texts(whole)
    ends = {choice["index"]: choice for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]}
    reasons = [ends[place]["finish_reason"] for place in sorted(ends)]
    assert reasons == [choice["finish_reason"] for choice in whole["choices"]]
    assert all(end["text"] == "" for end in ends.values())


async def test_all_chunks_of_a_stream_have_one_head_and_none_counts_unasked(surface: Surface) -> None:
    chunks = await streamed(surface)
    assert len(chunks) >= 4
    heads = [{name: chunk[name] for name in chunk if name != "choices"} for chunk in chunks]
    assert heads == [heads[0]] * len(heads)
    assert set(heads[0]) == {"id", "object", "created", "model", "system_fingerprint"}


async def test_a_stream_ends_with_what_was_counted_where_it_is_asked_to(surface: Surface) -> None:
    *chunks, last = await streamed(surface, stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 7, "completion_tokens": 90, "total_tokens": 97}


async def test_the_time_to_the_first_piece_is_measured_once_a_request(surface: Surface, process: Process) -> None:
    await completed(surface, n=3)
    await streamed(surface)
    assert process.metrics.registry.get_sample_value("rnn_time_to_first_token_seconds_count") == 2


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("fields", "param"),
    [({"prompt": "\u4e2d"}, "prompt"), ({"prompt": ["a", "\u4e2d"]}, "prompt.1"), ({"top_k": 66}, "top_k")],
)
async def test_what_the_model_cannot_read_is_refused_before_a_stream_begins(
    surface: Surface, fields: Json, param: str, is_streamed: bool
) -> None:
    answered = await post(surface, stream=is_streamed, **fields)
    error = answered.json()["error"]
    assert (answered.status, answered.headers["content-type"]) == (400, "application/json")
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, "invalid_input")


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_what_fails_tells_nothing_of_its_insides(
    surface: Surface, runtime: GatedRuntime, is_streamed: bool
) -> None:
    def fail(*_: object) -> list[Array]:
        raise RuntimeError("out of memory")

    runtime.run = fail  # type: ignore[method-assign]
    answered = await post(surface, stream=is_streamed)
    assert (answered.status, answered.json()["error"]["type"]) == (500, "server_error")
    assert b"memory" not in answered.body


async def test_a_stream_that_fails_ends_with_an_error_and_not_as_if_it_were_done(
    surface: Surface, process: Process, runtime: GatedRuntime
) -> None:
    runtime.permit(1)
    exchange = surface.client.begin("POST", COMPLETIONS, orjson.dumps({"model": "generation", **ASKED, "stream": True}))
    await until(lambda: b"data: " in exchange.body)

    def fail(*_: object) -> list[Array]:
        raise RuntimeError("out of memory")

    runtime.run = fail  # type: ignore[method-assign]
    runtime.open()
    body = (await exchange.answered()).body
    last = orjson.loads(body.split(b"\n\n")[-2].removeprefix(b"data: "))
    assert last["error"]["type"] == "server_error"
    assert b"[DONE]" not in body
    assert b"memory" not in body
    process.metrics.flush()
    sample = process.metrics.registry.get_sample_value
    assert sample("rnn_requests_total", {"endpoint": COMPLETIONS, "code": "500"}) == 1


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_answer_that_takes_too_long_is_refused(process: Process, is_streamed: bool) -> None:
    answered = await post(Surface(process, timeout_seconds=0.0), stream=is_streamed)
    assert (answered.status, answered.json()["error"]["code"]) == (504, "deadline_exceeded")


@pytest.mark.parametrize(("is_streamed", "num_runs"), [(False, 0), (False, 1), (True, 0), (True, 1)])
async def test_work_for_a_client_that_hangs_up_is_cancelled(
    surface: Surface, process: Process, runtime: GatedRuntime, is_streamed: bool, num_runs: int
) -> None:
    runtime.permit(num_runs)
    body = orjson.dumps({"model": "generation", **ASKED, "max_tokens": 4096, "stream": is_streamed})
    exchange = surface.client.begin("POST", COMPLETIONS, body)
    await until(lambda: runtime.num_begun == num_runs + 1)
    if is_streamed and num_runs:  # the next run begins before the piece is told
        await until(lambda: b"data: " in exchange.body)
    exchange.hang_up()
    answered = await exchange.answered()
    runtime.open()
    assert b"[DONE]" not in answered.body
    assert answered.status == (200 if is_streamed and num_runs else 499)
    scheduler = process.catalog["generation"].engine._scheduler
    await until(lambda: not scheduler.num_admitted)
    assert runtime.num_begun <= num_runs + 2


async def test_more_texts_than_the_queue_ever_takes_are_too_large(
    surface: Surface, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process.catalog["generation"].engine, "_max_queue_rows", 3)
    assert (await post(surface, n=3, max_tokens=1)).status == 200
    refused = await post(surface, n=2, prompt=["A", "B"], max_tokens=1)
    assert (refused.status, refused.json()["error"]["code"]) == (413, "too_large")
