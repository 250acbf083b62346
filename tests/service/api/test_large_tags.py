"""The tags of many words: how many answers there are at a time, and when their room is free again."""

import gc
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

import numpy as np
import orjson
import pytest
from starlette.types import Message

from service.api.answer import LargeResponse
from service.engine.engine import Engine
from service.forms.tagging import TagAnswer
from service.steps.answer_room import AnswerRoom
from service.tasks.tagging import MANY_WORDS, WholeTaggingModel, Words
from tests.fakes.asgi import Exchange, Surface
from tests.fakes.graphs import RecordingObserver
from tests.fakes.process import Process, settle, until
from tests.fakes.stores import FaultyStore
from tests.fakes.tagging import WHOLE, make_graphs

pytestmark = pytest.mark.anyio
MANY = ["ab"] * (MANY_WORDS + 100)  # more than half of the room below


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[Process]:
    """A worker that tags, and has little room."""
    async with Process(FaultyStore(), timeout_seconds=60.0, max_answer_bytes=2**20) as process:
        graphs = make_graphs(tmp_path, WHOLE)
        process.catalog.add(WholeTaggingModel(graphs.bundle, Engine(graphs, RecordingObserver())))
        process.catalog.make_current(graphs.bundle.tag)
        process.catalog.start()
        yield process


def begin(surface: Surface, words: list[str]) -> Exchange:
    """Ask for the tags of words, as a text."""
    return surface.client.begin("POST", "/tag", orjson.dumps({"text": " ".join(words)}))


def num_words(exchange: Exchange) -> int:
    return len(orjson.loads(exchange.body)["results"][0]["tokens"])


async def unread(surface: Surface, process: Process) -> Exchange:
    """A large answer whose client does not read it."""
    slow = begin(surface, MANY)
    slow.may_read.clear()
    await until(lambda: process.core.answer_room.num_bytes > 0 and process.catalog.is_idle)
    return slow


async def test_large_answers_wait_for_one_another_and_small_ones_do_not(narrow: Process) -> None:
    surface = Surface(narrow, timeout_seconds=60.0)
    slow = await unread(surface, narrow)
    large = begin(surface, MANY)
    small = begin(surface, ["ab"])
    assert (await small.answered()).status == 200
    await settle()
    assert not large.sent
    slow.may_read.set()
    assert [(await each.answered()).status for each in (slow, large)] == [200, 200]
    assert [num_words(each) for each in (slow, large)] == [len(MANY)] * 2
    assert narrow.core.answer_room.num_bytes == 0


async def test_an_answer_that_finds_no_room_in_time_is_late(narrow: Process) -> None:
    slow = await unread(Surface(narrow, timeout_seconds=60.0), narrow)
    late = begin(Surface(narrow, timeout_seconds=0.2), MANY)
    assert (await late.answered()).status == 504
    await slow.cancel()
    assert narrow.core.answer_room.num_bytes == 0


async def test_who_hangs_up_while_waiting_is_not_answered(narrow: Process) -> None:
    surface = Surface(narrow, timeout_seconds=60.0)
    slow = await unread(surface, narrow)
    gone = begin(surface, MANY)
    await settle()
    gone.hang_up()
    assert (await gone.answered()).status == 499
    slow.may_read.set()
    await slow.answered()
    assert narrow.core.answer_room.num_bytes == 0


async def test_who_does_not_read_in_time_is_answered_no_further(
    narrow: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.api.wire.SLOW_READER_SECONDS", 0.1)
    monkeypatch.setattr("service.api.wire.PIECE_BYTES", 1000)
    slow = begin(Surface(narrow, timeout_seconds=60.0), MANY)
    await until(lambda: bool(slow.sent))
    slow.may_read.clear()
    await slow.answered()
    assert slow.sent[-1]["more_body"]
    assert narrow.core.answer_room.num_bytes == 0
    narrow.metrics.flush()
    labels = {"endpoint": "/tag", "code": "499"}
    assert narrow.metrics.registry.get_sample_value("rnn_requests_total", labels) == 1
    assert caplog.messages == ["a client does not read its answer; its connection ends"]


@pytest.mark.parametrize("is_gone", [False, True])
async def test_an_answer_that_was_sent_leaves_its_room_even_while_something_refers_to_it(is_gone: bool) -> None:
    room = AnswerRoom(2**20, 1.0, lambda: 1)
    answer = LargeResponse(TagAnswer(results=[], bundle="a:b"), room.of_bytes(1000))
    taken = list[int]()

    async def receive() -> Message:
        raise AssertionError

    async def send(_: Message) -> None:
        taken.append(room.num_bytes)
        if is_gone:
            raise OSError

    with suppress(OSError):
        await answer({"type": "http"}, receive, send)
    assert set(taken) == {1000}
    assert room.num_bytes == 0
    del answer


def test_an_answer_that_nobody_sends_leaves_its_room() -> None:
    room = AnswerRoom(2**20, 1.0, lambda: 1)
    answer = LargeResponse(TagAnswer(results=[], bundle="a:b"), room.of_bytes(1000))
    assert room.num_bytes == 1000
    del answer
    assert room.num_bytes == 0


SHORT = [f"w{n:06d}" for n in range(4 * MANY_WORDS)]


@pytest.mark.parametrize("scheme", ["words", "bio"])
@pytest.mark.parametrize(
    ("words", "least"),
    [
        (SHORT, 0.8),
        (["\N{GRINNING FACE}", *SHORT], 0.8),
        ([f"{n:04d}" + "\N{GRINNING FACE}" * 500 for n in range(500)], 0.6),
        ([f"{n:04d}" + "\x01" * 500 for n in range(500)], 0.6),
        ([f"{n:04d}" + "a" * 500 for n in range(500)], 0.0),
    ],
    ids=["short", "one of them wide", "long and wide", "long and escaped", "long"],
)
async def test_what_words_take_is_not_counted_too_small(
    tmp_path: Path, scheme: str, words: list[str], least: float
) -> None:
    graphs = make_graphs(tmp_path, WHOLE, scheme)
    model = WholeTaggingModel(graphs.bundle, Engine(graphs, RecordingObserver()))
    model.tags = ("B-person",) * len(model.tags)
    text = " ".join(words)
    gc.collect()  # empties the interpreter's free lists, too: what is taken from them is not traced
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        ends = accumulate(len(word) + 1 for word in words)
        spans = [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]
        split = Words([text[start:end] for start, end in spans], spans)
        tagged = model._tagged(split, np.zeros((len(words), len(model.tags)), np.float32))
        answer = TagAnswer(results=[tagged], bundle="a:b")
        tracemalloc.reset_peak()
        sent = LargeResponse(answer, AnswerRoom(2**20, 1.0, lambda: 1).of_bytes(0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    taken = peak - before + len(sent.body)  # which pydantic makes outside of what is traced, and copies
    assert least < taken / model.answer_bytes([split]) < 1


def test_a_few_short_words_need_no_room_and_a_few_long_ones_do(tmp_path: Path) -> None:
    graphs = make_graphs(tmp_path, WHOLE)
    model = WholeTaggingModel(graphs.bundle, Engine(graphs, RecordingObserver()))
    assert model.answer_bytes([Words(["ab"] * (MANY_WORDS // 2))] * 2) > 0
    assert model.answer_bytes([Words(["ab"] * (MANY_WORDS // 2))]) == 0
    assert model.answer_bytes([Words(["a" * 1000] * 100)]) > 100 * 1000 * 16
