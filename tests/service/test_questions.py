"""Which of the served bundles answers a question, with the shipped ones."""

import asyncio
import gc
import json
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest

from service.bundle.manifest import Bundle, read_bundle
from service.concurrency.open_answers import OpenAnswers
from service.concurrency.waiting import together
from service.errors import DeadlineExceeded, InvalidInput, ModelUnknown, TooLarge
from service.forms.generation import GenerateAnswer, GenerateRequest
from service.forms.sentiment import Sentiment, SentimentRequest
from service.questions import Questions
from tests.fakes.catalog import new_catalog, questions_to
from tests.paths import MODELS

pytestmark = pytest.mark.anyio


def renamed(directory: Path, name: str) -> Bundle:
    """The shipped sentiment bundle under another name."""
    shutil.copytree(MODELS / "sentiment", directory / name)
    manifest = directory / name / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "name": name}))
    return read_bundle(directory / name)


@pytest.fixture
async def questions(tmp_path: Path) -> AsyncIterator[Questions]:
    """Two bundles for sentiment and one for generation."""
    catalog = new_catalog()
    bundles = [renamed(tmp_path, "kinder"), read_bundle(MODELS / "sentiment"), read_bundle(MODELS / "generation")]
    models = await asyncio.gather(*(asyncio.to_thread(catalog.load, bundle) for bundle in bundles))
    async with questions_to(catalog, models) as questions:
        yield questions


async def asked(questions: Questions, model: str | None) -> str:
    """The name of the bundle that judges a text."""
    answer = await questions.judge_sentiment(SentimentRequest(text="A fine film.", model=model))
    return answer.bundle.partition(":")[0]


async def test_the_bundle_that_is_named_answers_or_the_one_that_is_called_as_the_task_is(questions: Questions) -> None:
    assert await asked(questions, None) == "sentiment"
    assert await asked(questions, "sentiment") == "sentiment"
    assert await asked(questions, "kinder") == "kinder"
    answer = await questions.generate(GenerateRequest(prompt="A", max_tokens=1, model="generation"))
    assert answer.bundle.startswith("generation:")


async def test_texts_of_many_words_are_judged_some_at_a_time(
    questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = SentimentRequest(text=["A fine film.", "Dull, dull, dull.", "a b c d e f g h", "Fine."])
    at_once = await questions.judge_sentiment(request)
    portions: list[int] = []

    def counted(work: Iterable[Coroutine[Any, Any, Sentiment]]) -> Coroutine[Any, Any, list[Sentiment]]:
        some = list(work)
        portions.append(len(some))
        return together(some)

    monkeypatch.setattr("service.tasks.sentiment.together", counted)
    monkeypatch.setattr("service.tasks.sentiment.MAX_WORDS_IN_GRAPHS", 10)
    assert await questions.judge_sentiment(request) == at_once
    assert portions == [2, 2]


async def test_all_texts_that_cannot_be_judged_are_told_or_how_many_there_are(questions: Questions) -> None:
    with pytest.raises(InvalidInput) as refused:
        await questions.judge_sentiment(SentimentRequest(text=["Fine.", " ", "\n", "Dull."]))
    assert refused.value.errors == [(("text", index), "the text holds no word") for index in (1, 2)]
    with pytest.raises(InvalidInput) as refused:
        await questions.judge_sentiment(SentimentRequest(text=[" "] * 256))
    assert len(refused.value.errors) == 21
    assert refused.value.errors[-1] == ((), "and 236 more mistakes")


@pytest.mark.parametrize(("stop", "as_written"), [("\r\n", "\n"), ("e\u00a0", "e "), ("e\t", "e ")])
async def test_a_stop_string_is_read_as_a_prompt_is(questions: Questions, stop: str, as_written: str) -> None:
    ended, other = [
        await questions.generate(GenerateRequest(prompt="ROMEO:\n", seed=7, stop=each)) for each in (stop, as_written)
    ]
    assert ended == other
    assert ended.finish_reason == "stop"


@pytest.mark.parametrize("stop", ["\r", "\u65e5"])
async def test_a_stop_string_that_cannot_be_written_ends_nothing(questions: Questions, stop: str) -> None:
    answer = await questions.generate(GenerateRequest(prompt="ROMEO:\n", seed=7, stop=stop))
    assert answer == await questions.generate(GenerateRequest(prompt="ROMEO:\n", seed=7))


@pytest.mark.parametrize("model", ["nobody", "generation", ""])
async def test_a_name_that_no_bundle_for_the_task_has_is_unknown(questions: Questions, model: str) -> None:
    with pytest.raises(ModelUnknown, match=r"for sentiment is served; served are .*kinder \(sentiment\)"):
        await asked(questions, model)


async def test_a_question_that_the_queue_never_takes_is_too_large() -> None:
    catalog, limits = new_catalog(max_queue_rows=3), {"sentiment": 3, "sentiment-bidirectional": 1}
    async with questions_to(catalog, [catalog.load(read_bundle(MODELS / name)) for name in limits]) as questions:
        for name, most in limits.items():
            request = SentimentRequest(text=["A fine film."] * most, model=name)
            assert len((await questions.judge_sentiment(request)).results) == most
            with pytest.raises(TooLarge, match=f"takes 3 rows .*: send at most {most} texts at a time"):
                await questions.judge_sentiment(SentimentRequest(text=["A fine film."] * (most + 1), model=name))


async def test_a_stream_that_is_cut_off_can_be_asked_for_again(questions: Questions) -> None:
    events = [event async for event in await questions.stream(GenerateRequest(prompt="A", stream=True))]
    first, *pieces, end = events
    assert isinstance(first, dict)
    assert isinstance(end, GenerateAnswer)
    assert list(first) == ["text", "seed"]
    assert all(list(piece) == ["text"] for piece in pieces)
    again = await questions.generate(GenerateRequest(prompt="A", seed=first["seed"]))
    assert again == end
    assert pieces


async def test_a_character_that_is_not_known_is_told_with_where_the_known_ones_are(questions: Questions) -> None:
    with pytest.raises(InvalidInput) as refused:
        await questions.generate(GenerateRequest(prompt="At 2"))
    assert str(refused.value) == (
        "prompt: character '2' at position 3 is not one the model knows (GET /models lists them as `task.characters`)"
    )


async def test_a_stream_has_the_deadline_of_all_answers(questions: Questions) -> None:
    questions._open_answers = OpenAnswers(0)
    with pytest.raises(DeadlineExceeded, match="within 0 seconds"):
        await questions.stream(GenerateRequest(stream=True, model="generation"))


async def test_a_stream_of_an_unknown_model_is_refused_before_it_begins(questions: Questions) -> None:
    with pytest.raises(ModelUnknown, match="'sentiment'"):
        await questions.stream(GenerateRequest(stream=True, model="sentiment"))


async def test_what_was_asked_leaves_nothing_for_the_garbage_collector(questions: Questions) -> None:
    async def ask() -> None:
        await questions.judge_sentiment(SentimentRequest(text=["A fine film.", "Dull."], trajectory=True))
        await questions.generate(GenerateRequest(prompt="A", max_tokens=20, model="generation"))

    await ask()
    gc.collect()
    gc.disable()
    try:
        left = []
        for _ in range(5):  # others of this process may leave something at times
            await ask()
            left.append(gc.collect())
        assert 0 in left
    finally:
        gc.enable()
