"""Figures asked of graphs are those of the model."""

import os

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from export.quality import overview, quality
from export.quality.quality import measure
from export.recipes.registry import RECIPES, kind_of, plan_of_bundle
from export.running.forecaster import GraphForecaster
from export.running.rungs import Rungs, cut
from service.bundle.manifest import Figure, read_bundle
from tests.export.conftest import CHARACTERS, WORDS, Exported
from tests.paths import MODELS
from training.data import etth1
from training.data.source import DataError
from training.data.sst2 import Example
from training.data.tinyshakespeare import split
from training.forecasts.backtest import Backtest, Channels
from training.models.generation import GenerationModel


def ask(exported: Exported) -> Figure:
    return measure(exported.bundle, Rungs(exported.bundle, plan_of_bundle(exported.bundle)))


def test_a_text_costs_what_torch_says(generation: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list(CHARACTERS), 400))
    monkeypatch.setattr(quality.tinyshakespeare, "load", lambda: text)
    ids = torch.tensor([sorted(CHARACTERS).index(character) for character in split(text)["dev"]])
    model = generation.model
    assert isinstance(model, GenerationModel)
    outputs, _ = model.unroll(ids[None, :-1], model.initial_state(1))
    figure = ask(generation)
    assert (figure.metric, figure.split, figure.of) == ("nats_per_char", "dev", "graph")
    assert figure.value == pytest.approx(float(cross_entropy(outputs["logits"][0], ids[1:])), abs=1e-5)


def test_sentences_are_judged_after_their_last_word(sentiment: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    words = WORDS.split()
    sentences = [" ".join(words[start : start + length]) for start in range(6) for length in (1, 2, 5, 7)]
    labels = [_label(sentiment, sentence) for sentence in sentences]
    wrong = 7
    examples = [
        Example(sentence=sentence, label=1 - label if i < wrong else label)
        for i, (sentence, label) in enumerate(zip(sentences, labels, strict=True))
    ]
    monkeypatch.setattr(quality.sst2, "load", lambda _: examples)
    assert ask(sentiment).value == pytest.approx(1 - wrong / len(examples))


def _label(sentiment: Exported, sentence: str) -> int:
    tokenizer = sentiment.checkpoint.definition.tokenizer
    assert tokenizer is not None
    rungs = sentiment.open()
    x = np.array([tokenizer.encode(sentence).ids])
    answer = rungs.run_cut(rungs.stages["encode"], {"x": x}, rungs.initial_state(1), [1] * x.shape[1])
    return int(answer.outputs["logits"][0, -1].argmax())


@pytest.mark.parametrize("name", ["forecasting", "forecasting_window"])
def test_graphs_forecast_what_the_model_forecasts(name: str, request: pytest.FixtureRequest) -> None:
    exported: Exported = request.getfixturevalue(name)
    readings = np.random.default_rng(0).normal(size=(300, 2)).cumsum(axis=0)
    horizon, rows = 48, range(200, 260)
    channels = Channels(readings, np.array([0.5, 0.0]), np.array([2.0, 0.0]), np.array([1, 0]))  # the first is known
    found, expected = (
        Backtest(model, channels, rows, etth1.PROTOCOL).windowed(horizon).figures()  # type: ignore[arg-type]
        for model in (GraphForecaster(exported.bundle, exported.open()), exported.model)
    )
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_model_of_too_short_a_horizon_is_not_measured(forecasting: Exported) -> None:
    with pytest.raises(DataError, match="forecasts at most 72 readings, but the figure needs 96"):
        ask(forecasting)


@pytest.mark.parametrize("task", RECIPES)
def test_every_task_has_a_figure_and_its_data(task: str) -> None:
    assert quality.MEASURES[kind_of(task)].data


def test_what_ships_learned_from_the_data_that_it_is_measured_on() -> None:
    for bundle in overview.shipped(MODELS):
        quality.measure_for(bundle).check_data(bundle)


def test_a_length_is_cut_into_the_largest_rungs_first() -> None:
    assert cut((1, 3, 8), 22) == [8, 8, 3, 3]
    assert cut((1, 3, 8), 2) == [1, 1]


@pytest.mark.data
@pytest.mark.skipif(
    not os.environ.get("UNROLLED_DATA_DIR"), reason="UNROLLED_DATA_DIR names no directory with the data"
)
def test_the_shipped_graphs_are_as_accurate_as_the_card_says() -> None:
    bundle = read_bundle(MODELS / "sentiment")
    claimed = next(f.value for f in bundle.manifest.figures if (f.metric, f.of) == ("accuracy", "graph"))
    assert measure(bundle, Rungs(bundle, plan_of_bundle(bundle))).value == claimed
