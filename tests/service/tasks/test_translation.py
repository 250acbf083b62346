"""Translation over graphs that copy their source: whatever is lost, reversed or padded on the way shows."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.bundle.errors import BundleGraphMismatch
from service.bundle.manifest import Bundle, Manifest
from service.engine.engine import Engine
from service.engine.state import Array
from service.errors import InvalidInput, NotStreamable, TooLarge
from service.tasks.task import SequenceModel, tensor_model
from service.tasks.translation import TranslationModel
from tests.fakes.graphs import RecordingObserver
from tests.fakes.process import until
from training.text.subwords import END_ID, START_ID, subword_tokenizer

pytestmark = pytest.mark.anyio
TEXTS = ["a dog runs", "two men and a dog", "the dog sleeps"]
V, K = 60, 4
X = {"name": "x", "dtype": "int64", "shape": ["N", "T"]}


def direction(name: str) -> dict[str, object]:
    return {
        "name": name,
        "direction": name.removesuffix("1"),
        "rungs": {1: f"{name}-1.onnx", 2: f"{name}-2.onnx"},
        "inputs": [X],
        "outputs": [{"name": "features", "dtype": "float32", "shape": ["N", "T", 1]}],
        "reads": ["position"],
        "writes": ["position"],
    }


MANIFEST = {
    "format_version": 1,
    "name": "copying",
    "cell": "none",
    "task": {"kind": "translation", "source": "en", "target": "en", "start": 1, "end": 0, "length_penalty": 1.0},
    "stages": [
        direction("forward1"),
        direction("backward1"),
        {
            "name": "step",
            "fit": "covering",
            "rungs": {3: "step-3.onnx", 8: "step-8.onnx"},
            "inputs": [
                {"name": "token", "dtype": "int64", "shape": ["N"]},
                {"name": "memory", "dtype": "float32", "shape": ["N", "T", 2]},
                {"name": "length", "dtype": "int64", "shape": ["N"]},
            ],
            "outputs": [
                {"name": "tokens", "dtype": "int64", "shape": ["N", K]},
                {"name": "log_probs", "dtype": "float32", "shape": ["N", K]},
                {"name": "attention", "dtype": "float32", "shape": ["N", "T"]},
            ],
            "reads": ["position"],
            "writes": ["position"],
        },
    ],
    "state": [{"name": "position", "dtype": "int64", "shape": ["N"], "initial": 0}],
    "licence": "MIT",
    "command": "by hand",
}


class CopyingGraphs:
    """The next piece is most probably that of the source at the same place; the others count on from it.

    Attributes:
        runs: (stage, size, rows) of every run.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.runs: list[tuple[str, int, int]] = []

    def run(self, stage: str, rung: int, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        """One run of a rung."""
        position = feeds["position"]
        self.runs.append((stage, rung, len(position)))
        outputs = self._step(rung, feeds) if stage == "step" else {"features": feeds["x"][..., None].astype(np.float32)}
        return [{**outputs, "position_next": position + 1}[name] for name in names]

    @staticmethod
    def _step(size: int, feeds: Mapping[str, Array]) -> dict[str, Array]:
        memory, length, position = feeds["memory"], feeds["length"], feeds["position"]
        assert memory.shape == (len(length), size, 2)
        np.testing.assert_array_equal(memory[..., 0], memory[..., 1])  # both directions, each item in its place
        assert all(not row[n:].any() for row, n in zip(memory, length, strict=True))
        rows, place = np.arange(len(length)), np.minimum(position, length - 1)
        piece = np.where(position < length, memory[rows, place, 0], END_ID).astype(np.int64)
        previous = np.where(position > 0, memory[rows, np.minimum(position, length) - 1, 0], START_ID)
        is_right = feeds["token"] == previous  # a hypothesis that copies is more probable than one that does not
        attention = np.zeros((len(length), size), dtype=np.float32)
        attention[rows, place] = 1
        log_probs = -np.arange(1, K + 1, dtype=np.float32) - np.where(is_right, 0, 5)[:, None]
        tokens = np.where(np.arange(K) == 0, piece[:, None], 3 + (piece[:, None] + np.arange(K)) % (V - 3))
        return {"tokens": tokens, "log_probs": log_probs.astype(np.float32), "attention": attention}


@pytest.fixture
async def graphs(tmp_path: Path) -> CopyingGraphs:
    subword_tokenizer(TEXTS * 3, V).save(str(tmp_path / "tokenizer.json"))
    names = [f"{stage}-{size}.onnx" for stage, size in [("forward1", 1), ("forward1", 2), ("backward1", 1)]]
    files = dict.fromkeys([*names, "backward1-2.onnx", "step-3.onnx", "step-8.onnx", "tokenizer.json"], "0" * 64)
    return CopyingGraphs(Bundle(tmp_path, Manifest.model_validate({**MANIFEST, "files": files}), "0"))


@pytest.fixture
async def model(graphs: CopyingGraphs) -> AsyncIterator[TranslationModel]:
    engine = Engine(graphs, RecordingObserver())
    engine.start()
    yield TranslationModel(graphs.bundle, engine)
    await engine.stop()


@pytest.fixture
def few_places(graphs: CopyingGraphs, model: TranslationModel, monkeypatch: pytest.MonkeyPatch) -> TranslationModel:
    """A model that translates two texts of longer lists at a time."""
    monkeypatch.setattr("service.tasks.translation.TEXTS_AT_ONCE", 2)
    return TranslationModel(graphs.bundle, model.engine)


def runs_of(model: TranslationModel) -> list[tuple[str, int, int]]:
    graphs: Any = model.engine._graphs
    runs: list[tuple[str, int, int]] = graphs.runs
    return runs


async def translated(model: TranslationModel, texts: Sequence[str], beams: int = 2) -> list[str]:
    locations = [("text", index) for index in range(len(texts))]
    answer = await model.translate(texts, locations, beams, attention=False)
    return [translation.text for translation in answer.translations]


async def test_every_piece_reaches_the_decoder_in_its_place(model: TranslationModel) -> None:
    assert await translated(model, TEXTS) == ["A dog runs", "Two men and a dog", "The dog sleeps"]


@pytest.mark.parametrize("beams", [1, 2])
async def test_score_is_the_log_probability_of_a_piece_on_average(model: TranslationModel, beams: int) -> None:
    answer = await model.translate(["a dog"], [("text",)], beams, attention=False)
    assert answer.translations[0].score == -1.0
    assert answer.bundle == "copying:0"
    assert "attention" not in answer.translations[0].model_dump()


async def test_attention_shows_the_pieces_of_both_texts(model: TranslationModel) -> None:
    answer = await model.translate(["the dog sleeps"], [("text",)], 2, attention=True)
    shown = answer.translations[0].attention
    assert shown is not None
    assert "".join(shown.source) == "▁the▁dog▁sleeps"
    assert shown.target == [*shown.source, "[END]"]
    places = [int(np.argmax(row)) for row in shown.weights]
    assert places == [*range(len(shown.source)), len(shown.source) - 1]
    assert {len(row) for row in shown.weights} == {len(shown.source)}


async def test_texts_are_padded_by_their_own_length_only(model: TranslationModel, graphs: CopyingGraphs) -> None:
    await translated(model, ["a dog", "two men and a dog"])
    steps = [size for stage, size, _ in graphs.runs if stage == "step"]
    assert set(steps) == {3, 8}


async def test_texts_share_runs_and_hypotheses_are_rows(model: TranslationModel, graphs: CopyingGraphs) -> None:
    await translated(model, ["a dog", "the dog", "a dog"], beams=2)
    assert max(rows for stage, _, rows in graphs.runs if stage == "step") == 6
    assert max(rows for stage, _, rows in graphs.runs if stage == "backward1") == 3


async def test_a_long_list_leaves_room_for_who_comes_later(few_places: TranslationModel) -> None:
    texts = ["a dog", "the dog", "two men", "a man"]
    many = await translated(few_places, texts, beams=2)
    assert max(rows for stage, _, rows in runs_of(few_places) if stage == "step") == 4
    assert many == [each for text in texts for each in await translated(few_places, [text], beams=2)]


async def test_long_lists_share_the_places_and_the_oldest_ends_first(few_places: TranslationModel) -> None:
    ended: list[int] = []

    async def translate(number: int) -> None:
        await translated(few_places, ["a dog", "the dog", "two men", "a man"], beams=2)
        ended.append(number)

    lists = [asyncio.create_task(translate(number)) for number in range(4)]
    await until(few_places._many.locked)
    lists[1].cancel()  # its client hangs up, while its texts wait
    await asyncio.gather(*lists, return_exceptions=True)
    assert ended == [0, 2, 3]
    assert max(rows for stage, _, rows in runs_of(few_places) if stage == "step") == 4


async def test_a_short_list_does_not_wait_behind_a_long_one(few_places: TranslationModel) -> None:
    long = asyncio.create_task(translated(few_places, ["a dog"] * 50))
    await asyncio.sleep(0)
    await translated(few_places, ["the dog", "two men"])
    assert not long.done()
    await long


async def test_more_hypotheses_than_the_queue_ever_takes_are_too_large(graphs: CopyingGraphs) -> None:
    """Refused as a full queue, they would be sent again and again."""
    engine = Engine(graphs, RecordingObserver(), max_queue_rows=5)
    engine.start()
    model = TranslationModel(graphs.bundle, engine)
    assert len(await translated(model, ["a dog"] * 2, beams=2)) == 2
    with pytest.raises(TooLarge, match=r"copying takes 5 rows .* needs 6: send at most 2 texts at a time"):
        await translated(model, ["a dog"] * 3, beams=2)
    with pytest.raises(TooLarge, match="at most 2 texts"):  # an encoder has a row in each direction
        await translated(model, ["a dog"] * 3, beams=1)
    await engine.stop()


async def test_a_long_list_needs_the_rows_of_the_texts_that_have_a_place(
    graphs: CopyingGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tasks.translation.TEXTS_AT_ONCE", 2)
    engine = Engine(graphs, RecordingObserver(), max_queue_rows=4)
    engine.start()
    assert len(await translated(TranslationModel(graphs.bundle, engine), ["a dog"] * 9, beams=2)) == 9
    await engine.stop()


async def test_case_of_the_source_does_not_matter(model: TranslationModel) -> None:
    assert await translated(model, ["THE Dog"]) == ["The dog"]


async def test_what_cannot_be_seen_of_the_source_does_not_matter(model: TranslationModel) -> None:
    assert await translated(model, ["\ufeffthe d\u00adog\u200e \u200b"]) == ["The dog"]
    with pytest.raises(InvalidInput, match="nothing to translate"):
        await translated(model, ["\u200b\u00ad"])


@pytest.mark.parametrize("text", ["   ", "\n"])
async def test_nothing_to_translate_is_refused(model: TranslationModel, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"text\.1: the text holds nothing to translate"):
        await translated(model, ["a dog", text])


async def test_all_texts_that_cannot_be_translated_are_told(model: TranslationModel) -> None:
    with pytest.raises(InvalidInput) as refused:
        await translated(model, [" ", "a dog", "机场"])
    assert refused.value.errors == [
        (("text", 0), "the text holds nothing to translate"),
        (("text", 2), "the text has no character that the model knows"),
    ]


@pytest.mark.parametrize("text", ["机场", "机 场", "\u2581", "🐕"])
async def test_a_text_of_unknown_characters_alone_is_refused(model: TranslationModel, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^text\.1: the text has no character that the model knows$"):
        await translated(model, ["a dog", text])


async def test_unknown_characters_among_others_are_counted(model: TranslationModel) -> None:
    answer = await model.translate(["a 机场 dog", "a dog"], [("text", 0), ("text", 1)], 2, attention=False)
    with_unknown, without = answer.translations
    assert with_unknown.unknown_characters == 2
    assert "unknown_characters" not in without.model_dump()


async def test_longer_text_than_the_decoder_reads_is_refused(model: TranslationModel) -> None:
    with pytest.raises(InvalidInput, match=r"text\.0: the text has \d+ pieces of words; copying reads 8 at once"):
        await translated(model, ["a dog runs and " * 5])


async def test_more_beams_than_candidates_allow_are_refused(model: TranslationModel) -> None:
    with pytest.raises(InvalidInput, match="beams: copying searches with at most 2 beams"):
        await translated(model, ["a dog"], beams=3)


async def test_there_are_no_sessions(model: TranslationModel) -> None:
    assert not isinstance(model, SequenceModel)
    with pytest.raises(NotStreamable, match="needs whole inputs in its own form"):
        tensor_model(model)


async def test_bundle_without_attention_is_refused(graphs: CopyingGraphs) -> None:
    manifest = graphs.bundle.manifest
    step = manifest.stage("step")
    lacking = step.model_copy(update={"outputs": step.outputs[:2]})
    broken = manifest.model_copy(update={"stages": (*manifest.stages[:2], lacking)})
    with pytest.raises(BundleGraphMismatch, match="attention"):
        TranslationModel(Bundle(graphs.bundle.path, broken, "0"), Engine(graphs, RecordingObserver()))


@pytest.mark.parametrize("number", [1, "K"])
async def test_a_bundle_whose_step_answers_too_few_pieces_to_search_is_refused(
    graphs: CopyingGraphs, number: int | str
) -> None:
    manifest = graphs.bundle.manifest
    step = manifest.stage("step")
    few = step.outputs[0].model_copy(update={"shape": ("N", number)})
    lacking = step.model_copy(update={"outputs": (few, *step.outputs[1:])})
    broken = manifest.model_copy(update={"stages": (*manifest.stages[:2], lacking)})
    with pytest.raises(BundleGraphMismatch, match=f"copying:0: a step answers {number} pieces, not two or more"):
        TranslationModel(Bundle(graphs.bundle.path, broken, "0"), Engine(graphs, RecordingObserver()))
