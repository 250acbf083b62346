"""Taggers over graphs that tell what has reached them: whatever is lost, reversed or mixed up on the way shows."""

import threading
from collections.abc import AsyncIterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from service.decoding.softmax import softmax
from service.engine.engine import Engine
from service.errors import InvalidInput, NotStreamable, TooLarge
from service.forms.tagging import MAX_TAGGED_TOKENS, MAX_TEXT_WORDS, MAX_WORDS_TOGETHER, TagRequest, TagStep
from service.media.text import MAX_WORD_CHARACTERS
from service.media.words import spelling
from service.record.sequence_state import SequenceState
from service.tasks.character_encoder import MAX_CACHED_CHARACTERS
from service.tasks.tagging import StreamingTaggingModel, WholeTaggingModel, Words
from service.tasks.task import SequenceModel, tensor_model
from tests.fakes.catalog import new_catalog, questions_to
from tests.fakes.graphs import RecordingObserver
from tests.fakes.tagging import STREAMING, TAGS, WHOLE, make_graphs, stage

pytestmark = pytest.mark.anyio


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[WholeTaggingModel]:
    graphs = make_graphs(tmp_path, WHOLE)
    engine = Engine(graphs, RecordingObserver())
    engine.start()
    yield WholeTaggingModel(graphs.bundle, engine)
    await engine.stop()


@pytest.fixture
async def streaming(tmp_path: Path) -> AsyncIterator[StreamingTaggingModel]:
    graphs = make_graphs(tmp_path, STREAMING)
    engine = Engine(graphs, RecordingObserver())
    engine.start()
    yield StreamingTaggingModel(graphs.bundle, engine)
    await engine.stop()


def tags_of(tokens: Sequence[Any]) -> list[tuple[str, str]]:
    return [(token.token, token.tag) for token in tokens]


async def test_every_word_and_character_reaches_its_stage_in_order(whole: WholeTaggingModel) -> None:
    texts = ["abc b, ca", "cb"]
    words = await whole.split(texts, [("text", 0), ("text", 1)])
    answer = await whole.tag(words)
    assert tags_of(answer.results[0].tokens) == [("abc", "ac0"), ("b", "bb1"), (",", "??2"), ("ca", "ca3")]
    assert tags_of(answer.results[1].tokens) == [("cb", "cb0")]
    assert answer.bundle == "telling:0"
    for text, result in zip(texts, answer.results, strict=True):
        assert [text[t.start : t.end] for t in result.tokens] == [t.token for t in result.tokens]
        assert all(0.99 < token.probability <= 1 for token in result.tokens)
        assert result.entities is None


async def test_given_words_are_taken_as_they_are_and_have_no_place(whole: WholeTaggingModel) -> None:
    answer = await whole.tag([Words(["b,a", "don't"])])
    assert tags_of(answer.results[0].tokens) == [("b,a", "ba0"), ("don't", "??1")]
    assert set(answer.results[0].tokens[0].model_dump()) == {"token", "tag", "probability"}


async def test_words_are_read_as_they_are_seen_and_told_as_they_were_sent(whole: WholeTaggingModel) -> None:
    text = "\ufeffb\u00adac\u200e a\u0301"
    (words,) = await whole.split([text], [("text",)])
    (result,) = (await whole.tag([words])).results
    assert tags_of(result.tokens) == [("b\u00adac", "bc0"), ("a\u0301", "??1")]
    assert [text[token.start : token.end] for token in result.tokens] == [token.token for token in result.tokens]
    assert tags_of((await whole.tag([Words(["c\u00ad", "\u200b"])])).results[0].tokens) == [
        ("c\u00ad", "cc0"),
        ("\u200b", "??1"),
    ]


async def test_words_of_all_texts_share_runs_and_are_read_once(whole: WholeTaggingModel) -> None:
    graphs: Any = whole.engine._graphs
    await whole.tag([Words(["ab", "ba", "ab"]), Words(["ba", "ab"])])
    over_characters = [run for run in graphs.runs if run[0] == "characters_forward"]
    assert sum(size * rows for _, size, rows in over_characters) == 4  # "ab" and "ba", two characters each
    graphs.runs.clear()
    await whole.tag([Words(["ba", "ab"])])
    assert not [run for run in graphs.runs if run[0].startswith("characters")]


async def test_a_very_long_word_is_read_again(whole: WholeTaggingModel) -> None:
    graphs: Any = whole.engine._graphs
    for length, num_times in ((MAX_CACHED_CHARACTERS, 1), (MAX_CACHED_CHARACTERS + 1, 2)):
        graphs.runs.clear()
        first, second = [await whole.tag([Words(["b" * length])]) for _ in range(2)]
        assert first == second
        runs = [size * rows for stage, size, rows in graphs.runs if stage == "characters_forward"]
        assert sum(runs) == num_times * len(whole._characters._vocabulary.ids("b" * length))


async def test_of_many_words_those_that_were_read_last_are_known(
    whole: WholeTaggingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tasks.character_encoder.MAX_CACHED_WORDS", 2)
    graphs: Any = whole.engine._graphs

    async def is_known(word: str) -> bool:
        graphs.runs.clear()
        await whole.tag([Words([word])])
        return not [run for run in graphs.runs if run[0].startswith("characters")]

    assert [await is_known(word) for word in ("a", "b", "a", "c")] == [False, False, True, False]
    assert [await is_known(word) for word in ("a", "c", "b")] == [True, True, False]


async def test_a_list_of_many_texts_finds_room_in_the_queue(whole: WholeTaggingModel) -> None:
    words = ["".join(letters) for letters in product("abc", repeat=8)]  # 6,561
    answer = await whole.tag([Words(words[start : start + 30]) for start in range(0, len(words), 30)])
    assert sum(len(result.tokens) for result in answer.results) == len(words)


async def test_more_texts_than_the_queue_ever_takes_are_too_large(tmp_path: Path) -> None:
    """Each has a row in both directions; refused as a full queue, it would be sent again and again."""
    graphs = make_graphs(tmp_path, WHOLE)
    engine = Engine(graphs, RecordingObserver(), max_queue_rows=8)
    engine.start()
    model = WholeTaggingModel(graphs.bundle, engine)
    assert len((await model.tag([Words(["ab"])] * 4)).results) == 4
    with pytest.raises(TooLarge, match="needs 10: send at most 4 texts at a time"):
        await model.tag([Words(["ab"])] * 5)
    with pytest.raises(TooLarge, match="at most 4 new words at a time"):
        await model.tag([Words(["a", "b", "c", "aa", "bb"])])
    await engine.stop()


async def test_long_texts_are_prepared_and_judged_where_they_keep_nobody_waiting(
    whole: WholeTaggingModel, streaming: StreamingTaggingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = list[threading.Thread]()

    def softmax_here(logits: Any) -> Any:  # noqa: ANN401
        threads.append(threading.current_thread())
        return softmax(logits)

    monkeypatch.setattr("service.tasks.tagging.softmax", softmax_here)
    await whole.tag([Words(["ab"] * 30)] * 40)
    await streaming.step(streaming.initial_state(), TagStep(tokens=["ab"] * 1200), 0)
    assert len(threads) == 41
    assert threading.main_thread() not in threads
    await whole.tag([Words(["ab"])])
    assert threads[-1] is threading.main_thread()


async def test_words_are_spelt_once_and_many_where_they_keep_nobody_waiting(
    whole: WholeTaggingModel, streaming: StreamingTaggingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = list[threading.Thread]()

    def spell_here(word: str) -> str:
        threads.append(threading.current_thread())
        return spelling(word)

    monkeypatch.setattr("service.tasks.tagging.spelling", spell_here)
    words = ["\u00e9" * 500] * 10
    await whole.tag([Words(words[:5]), Words(words[5:])])
    await streaming.step(streaming.initial_state(), TagStep(tokens=words), 0)
    assert len(threads) == 20
    assert threading.main_thread() not in threads
    await whole.tag([Words(["ab"])])
    assert threads[20:] == [threading.main_thread()]


async def test_a_text_without_words_or_with_an_endless_one_is_refused(whole: WholeTaggingModel) -> None:
    with pytest.raises(InvalidInput, match="holds no word"):
        await whole.split(["a", " \n"], [("text", 0), ("text", 1)])
    with pytest.raises(InvalidInput, match="longer than"):
        await whole.split(["a" * (MAX_WORD_CHARACTERS + 1)], [("text",)])


async def test_all_texts_that_cannot_be_tagged_are_told(whole: WholeTaggingModel) -> None:
    texts = [" \n", "a", "a" * (MAX_WORD_CHARACTERS + 1)]
    with pytest.raises(InvalidInput) as refused:
        await whole.split(texts, [("text", index) for index in range(3)])
    assert [(where, what.split()[-1]) for where, what in refused.value.errors] == [
        (("text", 0), "word"),
        (("text", 2), "characters"),
    ]


async def test_texts_of_too_many_words_are_refused(whole: WholeTaggingModel, streaming: StreamingTaggingModel) -> None:
    words = "a " * MAX_TEXT_WORDS
    (text,) = await whole.split([words], [("text",)])
    assert len(text.words) == MAX_TEXT_WORDS
    with pytest.raises(InvalidInput, match=rf"^text\.1: .* at most {MAX_TEXT_WORDS} are read at once"):
        await whole.split(["a", words + "a"], [("text", 0), ("text", 1)])
    with pytest.raises(InvalidInput, match="read at once"):
        await streaming.step(streaming.initial_state(), TagStep(text=words + "a"), 0)
    num_texts = MAX_WORDS_TOGETHER // MAX_TEXT_WORDS
    with pytest.raises(InvalidInput, match=f"^text: the texts together have more than {MAX_WORDS_TOGETHER} words"):
        await whole.split([*[words] * num_texts, "a"], [("text", n) for n in range(num_texts + 1)])
    tokens = [["a"] * MAX_TAGGED_TOKENS] * (MAX_WORDS_TOGETHER // MAX_TAGGED_TOKENS)
    TagRequest(tokens=tokens)
    with pytest.raises(ValueError, match=r"more than .* words"):
        TagRequest(tokens=[*tokens, ["a"]])


async def test_texts_of_many_words_are_tagged_some_at_a_time(
    whole: WholeTaggingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tasks.tagging.MAX_WORDS_IN_GRAPHS", 5)
    monkeypatch.setattr("service.tasks.tagging.MANY_WORDS", 1)
    texts = [Words(["ab"] * n) for n in (2, 3, 1, 7, 4)]
    parts = []
    tag = whole._tag
    monkeypatch.setattr(whole, "_tag", lambda some: parts.append([len(text.words) for text in some]) or tag(some))
    answer = await whole.tag(texts)
    assert parts == [[2, 3], [1], [7], [4]]
    assert [len(result.tokens) for result in answer.results] == [2, 3, 1, 7, 4]
    assert answer == type(answer).model_validate(answer.model_dump())


async def test_a_model_of_whole_texts_takes_no_steps(whole: WholeTaggingModel) -> None:
    assert not isinstance(whole, SequenceModel)
    with pytest.raises(NotStreamable, match="needs whole inputs in its own form"):
        tensor_model(whole)


async def test_bio_tags_are_merged_to_entities_with_their_place(tmp_path: Path) -> None:
    stages = [*WHOLE[:-1], stage("head", [("x", ["N", "T", 6])], ("logits", len(TAGS)), None)]
    graphs = make_graphs(tmp_path, stages, scheme="bio")
    engine = Engine(graphs, RecordingObserver())
    engine.start()
    model = WholeTaggingModel(graphs.bundle, engine)
    names = {"aa0": "B-person", "bb1": "I-person", "??2": "O", "ca3": "B-group"}
    model.tags = tuple(names.get(tag, tag) for tag in TAGS)
    (words,) = await model.split(["a b . ca"], [("text",)])
    (result,) = (await model.tag([words])).results
    await engine.stop()
    assert [entity.model_dump() for entity in result.entities or []] == [
        {"kind": "person", "text": "a b", "tokens": (0, 2), "start": 0, "end": 3},
        {"kind": "group", "text": "ca", "tokens": (3, 4), "start": 6, "end": 8},
    ]


async def steps(model: StreamingTaggingModel, *inputs: TagStep) -> tuple[list[Any], list[list[str]], SequenceState]:
    """All words that the steps have completed, what was pending after each, and the state."""
    state, done, pending = model.initial_state(), [], []
    for each in inputs:
        outputs, state = await model.step(state, each, 0)
        done += [(token["token"], token["tag"]) for token in outputs["tokens"]]
        pending.append([token["token"] for token in outputs["pending"]])
    return done, pending, state


@pytest.mark.parametrize("cut", [(), (1,), (4,), (2, 3, 5), tuple(range(1, 12))])
async def test_any_cut_of_a_text_gives_the_tags_of_the_whole(
    streaming: StreamingTaggingModel, cut: tuple[int, ...]
) -> None:
    text = "ab, don't  c"
    pieces = [text[start:end] for start, end in zip((0, *cut), (*cut, None), strict=True)]
    done, _, state = await steps(streaming, *(TagStep(text=piece) for piece in pieces), TagStep(end=True))
    (words,) = await streaming.split([text], [("text",)])
    (whole,) = (await streaming.tag([words])).results
    assert done == tags_of(whole.tokens)
    assert done[0] == ("ab", "?b0")
    assert (state.position, state.pending) == (5, b"")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_any_cut_gives_the_tags_of_the_whole_where_not_all_can_be_seen(
    streaming: StreamingTaggingModel, size: int
) -> None:
    text = "\ufeffa\u00adb, \u200b b\u0301\u200e\u2764\ufe0fc \U0001f469\u200d\U0001f4bb"
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    done, _, _ = await steps(streaming, *(TagStep(text=piece) for piece in pieces), TagStep(end=True))
    (words,) = await streaming.split([text], [("text",)])
    (whole,) = (await streaming.tag([words])).results
    assert done == tags_of(whole.tokens)
    assert [word for word, _ in done] == words.words
    assert len(done) == 6


async def test_what_may_still_grow_is_tagged_for_the_time_being(streaming: StreamingTaggingModel) -> None:
    done, pending, state = await steps(streaming, TagStep(text="b a"), TagStep(text="c"), TagStep(text=" "))
    assert pending == [["a"], ["ac"], []]
    assert done == [("b", "?b0"), ("ac", "?c1")]
    assert state.position == 2


async def test_given_words_come_after_a_pending_one(streaming: StreamingTaggingModel) -> None:
    done, pending, _ = await steps(streaming, TagStep(text="b"), TagStep(tokens=["a", "c,"]))
    assert done == [("b", "?b0"), ("a", "?a1"), ("c,", "??2")]
    assert pending == [["b"], []]


async def test_tensors_are_refused_with_the_reason(streaming: StreamingTaggingModel) -> None:
    with pytest.raises(InvalidInput, match="ids: telling reads text or tokens, since it needs the characters of words"):
        streaming.parse({"ids": [1]})
    with pytest.raises(InvalidInput, match="telling reads no tensors, only its own form of input"):
        tensor_model(streaming)


@pytest.mark.parametrize(
    "inputs",
    [{}, {"text": "a", "tokens": ["a"]}, {"end": False}, {"tokens": []}, {"tokens": ["a b"]}, {"tokens": [""]}],
)
async def test_a_step_says_one_thing(streaming: StreamingTaggingModel, inputs: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        streaming.parse(inputs)


@pytest.mark.parametrize(
    "question", [{}, {"text": "a", "tokens": ["a"]}, {"text": []}, {"tokens": [[]]}, {"tokens": ["a", ["b"]]}]
)
def test_a_question_has_texts_or_words(question: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        TagRequest.model_validate(question)


async def test_parts_of_speech_of_whole_texts_answer_where_no_model_is_named(tmp_path: Path) -> None:
    models: list[StreamingTaggingModel | WholeTaggingModel] = []
    for name, stages, scheme in (
        ("entities", WHOLE, "bio"),
        ("flowing", STREAMING, "words"),
        ("speech", WHOLE, "words"),
    ):
        graphs = make_graphs(tmp_path, stages, scheme, name)
        kind = StreamingTaggingModel if name == "flowing" else WholeTaggingModel
        models.append(kind(graphs.bundle, Engine(graphs, RecordingObserver())))
    asked = {
        "speech:0": TagRequest(text="a b"),
        "entities:0": TagRequest(text=["a", "b"], model="entities"),
        "flowing:0": TagRequest(tokens=[["a"], ["b", "c"]], model="flowing"),
    }
    async with questions_to(new_catalog(), models) as questions:
        for bundle, question in asked.items():
            answer, holding = await questions.tag(question)
            assert not holding.num_bytes
            assert answer.bundle == bundle
            assert len(answer.results) == (1 if isinstance(question.text, str) else 2)
        answer, _ = await questions.tag(TagRequest(tokens=["a", "b"]))
    assert tags_of(answer.results[0].tokens) == [("a", "aa0"), ("b", "bb1")]
