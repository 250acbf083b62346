"""Models whose directions and layers are stages of their own: taggers, and sentiment of whole texts."""

import numpy as np
import pytest
import torch

from export.quality import quality
from export.recipes.registry import plan_of_bundle
from export.running.tagger import GraphTagger
from export.weights import rounded
from service.bundle.manifest import read_bundle
from service.bundle.tasks import TaggingTask
from tests.export.conftest import Exported, assert_every_trained_weight_is_proved, export_small
from training.data import ewt, sst2, wnut17
from training.data.ewt import Word
from training.models.bidirectional_sentiment import BidirectionalSentimentModel
from training.models.tagging import CHARACTERS, TaggingModel, Words
from training.tasks.tagged_sentences import Tagged

SIZES = {"word_size": 10, "character_size": 6, "character_hidden_size": 5, "hidden_size": 16, "layers": 1}
BIDIRECTIONAL = ("characters_forward", "characters_backward", "forward1", "backward1", "head")


@pytest.fixture(scope="module")
def tagging(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A tagger that reads in both directions."""
    rungs = dict.fromkeys(BIDIRECTIONAL, (1, 3))
    return export_small(tmp_path_factory.mktemp("export"), "tagging", SIZES, rungs)


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A tagger of entities that reads from left to right."""
    rungs = {"characters_forward": (1, 2), "encode": (1, 3)}
    sizes = {**SIZES, "bidirectional": False, "layers": 2}
    return export_small(tmp_path_factory.mktemp("export"), "entities", sizes, rungs)


@pytest.fixture(scope="module")
def sentiment_of_texts(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A classifier of whole texts."""
    rungs = dict.fromkeys(("forward1", "backward1", "head"), (1, 3))
    model = {"embedding_size": 10, "hidden_size": 16}
    return export_small(tmp_path_factory.mktemp("export"), "sentiment-bidirectional", model, rungs)


def test_a_tagger_in_both_directions_serves_whole_inputs_only(tagging: Exported) -> None:
    manifest = read_bundle(tagging.bundle.path).manifest
    assert tuple(stage.name for stage in manifest.stages) == BIDIRECTIONAL
    assert [stage.direction for stage in manifest.stages] == ["forward", "backward", "forward", "backward", "forward"]
    assert not manifest.is_streamable
    assert manifest.stage("head").reads == ()
    assert [spec.name for spec in manifest.stage("backward1").inputs] == ["x", "characters"]
    assert manifest.stage("backward1").reads == ("backward1_h", "backward1_c")


def test_the_manifest_says_how_words_are_spelt_and_tagged(tagging: Exported, streaming: Exported) -> None:
    parts_of_speech, entities = (exported.bundle.manifest.task for exported in (tagging, streaming))
    assert isinstance(parts_of_speech, TaggingTask)
    assert isinstance(entities, TaggingTask)
    assert (parts_of_speech.scheme, len(parts_of_speech.tags)) == ("words", 17)
    assert (entities.scheme, entities.tags[:2]) == ("bio", ("O", "B-corporation"))
    assert parts_of_speech.characters == CHARACTERS


def test_a_tagger_from_left_to_right_streams(streaming: Exported) -> None:
    manifest = streaming.bundle.manifest
    assert [stage.name for stage in manifest.stages] == ["characters_forward", "encode"]
    assert manifest.is_streamable
    assert manifest.name == "entities"


@torch.no_grad()
def test_graphs_of_a_tagger_one_after_the_other_give_the_models_logits(tagging: Exported) -> None:
    rungs, model = tagging.open(), tagging.model
    assert isinstance(model, TaggingModel)
    stages = rungs.stages
    rng = np.random.default_rng(1)
    ids, characters = rng.integers(13, size=(2, 4)), rng.integers(100, size=(8, 5))
    spelt = []
    for name, letters in (("characters_forward", characters), ("characters_backward", characters[:, ::-1])):
        answer = rungs.run_cut(stages[name], {"x": letters}, rungs.initial_state(8), [3, 1, 1])
        spelt.append(answer.outputs["features"][:, -1])
    words = {"x": ids, "characters": np.concatenate(spelt, axis=1).reshape(2, 4, -1)}
    backwards = {name: values[:, ::-1] for name, values in words.items()}
    there = rungs.run_cut(stages["forward1"], words, rungs.initial_state(2), [3, 1]).outputs["features"]
    back = rungs.run_cut(stages["backward1"], backwards, rungs.initial_state(2), [1, 3]).outputs["features"]
    features = np.concatenate([there, back[:, ::-1]], axis=2)
    found = rungs.run_cut(stages["head"], {"x": features}, rungs.initial_state(2), [3, 1]).outputs["logits"]
    np.testing.assert_allclose(found, _logits(tagging, ids, characters), rtol=0, atol=1e-5)


def _logits(exported: Exported, ids: np.ndarray, characters: np.ndarray) -> np.ndarray:
    """Of torch's fused modules with the rounded weights; rows of characters are those of the words in order."""
    words = Words(
        ids=torch.from_numpy(ids),
        lengths=torch.full((len(ids),), ids.shape[1]),
        spellings=torch.arange(ids.size).view(ids.shape),
        characters=torch.from_numpy(characters),
        spelling_lengths=torch.full((ids.size,), characters.shape[1]),
    )
    logits: torch.Tensor = rounded(exported.checkpoint.model)(words)[0]
    return logits.numpy()


def test_sentiment_of_whole_texts_is_a_sentiment_bundle_with_a_pool_that_can_be_cut(
    sentiment_of_texts: Exported,
) -> None:
    manifest = sentiment_of_texts.bundle.manifest
    assert (manifest.task.kind, manifest.name, manifest.cell) == ("sentiment", "sentiment-bidirectional", "lstm")
    assert manifest.stage("head").reads == ("pool_max", "pool_sum", "pool_count")
    assert manifest.stage("backward1").direction == "backward"
    assert isinstance(sentiment_of_texts.model, BidirectionalSentimentModel)


@pytest.mark.parametrize("name", ["tagging", "streaming", "sentiment_of_texts"])
def test_finished_bundles_can_be_tried_without_their_model(name: str, request: pytest.FixtureRequest) -> None:
    exported: Exported = request.getfixturevalue(name)
    for planned, read in zip(exported.stages, plan_of_bundle(exported.bundle), strict=True):
        rng = np.random.default_rng(1)
        drawn = read.draw(rng, 2, 3)
        expected = planned.draw(np.random.default_rng(1), 2, 3)
        assert {key: (x.shape, x.dtype) for key, x in drawn.items()} == {
            key: (x.shape, x.dtype) for key, x in expected.items()
        }


@torch.no_grad()
def test_graphs_of_taggers_find_the_tags_that_torch_finds(tagging: Exported, streaming: Exported) -> None:
    sentences = [["a", "film", "worth", "Seeing"], ["good"], ["as", "fine", "as", "it", "may"]]
    for exported in (tagging, streaming):
        task = exported.checkpoint.definition
        numbered = task.numbered([Tagged(words, [task.tags[0]] * len(words)) for words in sentences])
        expected = [task.names(tags) for tags in task.predict(rounded(exported.checkpoint.model), numbered)]
        assert GraphTagger(exported.bundle, exported.open()).tag(sentences) == expected
        assert len({tag for tags in expected for tag in tags}) > 1


def right_in_the_first(exported: Exported, texts: list[list[str]]) -> list[list[str]]:
    """Tags of texts, of which the model is right in those of the first and wrong in all others."""
    task = exported.checkpoint.definition
    numbered = task.numbered([Tagged(words, [task.tags[0]] * len(words)) for words in texts])
    first, *others = (task.names(tags) for tags in task.predict(rounded(exported.checkpoint.model), numbered))
    return [first, *([task.tags[task.tags.index(tag) - 1] for tag in tags] for tags in others)]


@torch.no_grad()
def test_the_figure_of_a_tagger_is_that_of_its_scheme(
    tagging: Exported, streaming: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [["film", "good"], ["as", "fine", "as", "it", "may"]]
    parts_of_speech, entities = (right_in_the_first(exported, texts) for exported in (tagging, streaming))
    words = [
        tuple(Word(word, tag, "", "", "") for word, tag in zip(text, tags, strict=True))
        for text, tags in zip(texts, parts_of_speech, strict=True)
    ]
    monkeypatch.setattr(ewt, "load", lambda _: [ewt.Sentence("", each) for each in words])
    monkeypatch.setattr(
        wnut17, "load", lambda _: [wnut17.Sentence(tuple(a), tuple(b)) for a, b in zip(texts, entities, strict=True)]
    )
    accuracy, f1 = (quality.measure(exported.bundle, exported.open()) for exported in (tagging, streaming))
    assert (accuracy.metric, f1.metric) == ("accuracy", "entity_f1")
    assert accuracy.value == 2 / 7
    expected = streaming.checkpoint.definition.evaluate(rounded(streaming.checkpoint.model), "dev")["entity_f1"]
    assert 0 < f1.value == expected < 1


def test_sentiment_of_whole_texts_is_measured_by_its_graphs(
    sentiment_of_texts: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [sst2.Example("a film that is good", 1), sst2.Example("old", 0), sst2.Example("fine old players", 1)]
    monkeypatch.setattr(sst2, "load", lambda _: texts)
    with torch.no_grad():
        expected = sentiment_of_texts.checkpoint.definition.evaluate(
            rounded(sentiment_of_texts.checkpoint.model), "dev"
        )
    assert quality.measure(sentiment_of_texts.bundle, sentiment_of_texts.open()).value == expected["accuracy"]


@pytest.mark.parametrize("name", ["tagging", "streaming", "sentiment_of_texts"])
def test_the_graphs_are_the_model_that_was_trained(name: str, request: pytest.FixtureRequest) -> None:
    assert_every_trained_weight_is_proved(request.getfixturevalue(name))
