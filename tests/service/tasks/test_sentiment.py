"""A text that grows: its last word stays pending, however the text is cut."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.bundle.manifest import Bundle, Manifest
from service.engine.engine import Engine
from service.forms.sentiment import TextStep
from service.media.text import TextReader, Tokens
from service.record.sequence_state import SequenceState
from service.tasks.sentiment import StreamingSentimentModel
from tests.fakes.graphs import SUM_MANIFEST, RecordingObserver, SumGraphs, V, total_of
from training.text.vocabulary import word_tokenizer

pytestmark = pytest.mark.anyio
TASK = {"kind": "sentiment", "labels": [str(label) for label in range(V)]}
TEXT = "so\u200bso don't \u200b  a\u00b4film (not) \u200b \x1cgood ... \u200b"


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[StreamingSentimentModel]:
    word_tokenizer(["a a film not good do n't ..."]).save(str(tmp_path / "tokenizer.json"))
    bundle = Bundle(tmp_path, Manifest.model_validate({**SUM_MANIFEST, "task": TASK}), "0")
    engine = Engine(SumGraphs(bundle), RecordingObserver())
    engine.start()
    yield StreamingSentimentModel(bundle, engine)
    await engine.stop()


async def read(model: StreamingSentimentModel, *pieces: str) -> tuple[dict[str, object], SequenceState]:
    state, answer = model.initial_state(), dict[str, object]()
    for piece in pieces:
        answer, state = await model.step(state, TextStep(text=piece), 0)
    return answer, state


@pytest.mark.parametrize("end", range(1, len(TEXT)))
async def test_any_cut_of_a_text_gives_the_state_and_the_answer_of_the_whole(
    model: StreamingSentimentModel, end: int
) -> None:
    for text in (TEXT, TEXT[:end]):
        assert await read(model, *text) == await read(model, text)
    assert await read(model, TEXT[:end], TEXT[end:]) == await read(model, TEXT)


async def test_all_words_but_the_last_are_read(model: StreamingSentimentModel) -> None:
    _, state = await read(model, "a film \u200b ")
    assert (state.pending.decode(), total_of(state.row)) == ("film ", 1)


async def test_a_text_is_tokenized_once_however_many_runs_of_it_are_no_words(
    model: StreamingSentimentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    tokenize = TextReader.read

    def counted(reader: TextReader, text: str) -> Tokens:
        texts.append(text)
        return tokenize(reader, text)

    monkeypatch.setattr(TextReader, "read", counted)
    await read(model, "film " + 100 * "\u200b ")
    assert len(texts) == 1
