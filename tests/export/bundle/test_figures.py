"""Figures of the checkpoint and of the weights that are exported."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from export.bundle.card import render
from export.bundle.figures import check_alike, measured
from export.errors import NotASeed
from export.proof.parity import prove
from export.weights import rounded
from service.bundle.manifest import Figure
from tests.export.conftest import Exported
from training.settings import Settings, validate
from training.tasks.forecasting import ForecastingSettings
from training.tasks.generation import GenerationSettings
from training.tasks.sentiment import SentimentSettings, SentimentTask


class MeasuredTask(SentimentTask):
    """A task whose figure is how many weights float16 holds exactly."""

    def evaluate(self, model: nn.Module, split: str) -> dict[str, float]:
        """Share of the matrices that are rounded."""
        matrices = [weight for weight in model.parameters() if weight.ndim > 1]
        assert split == "dev"
        return {"rounded": sum(bool((weight == weight.half()).all()) for weight in matrices) / len(matrices)}


def measured_checkpoint(sentiment: Exported) -> Any:  # noqa: ANN401  # a Checkpoint
    source = sentiment.checkpoint
    definition = MeasuredTask(source.definition.settings, source.definition.tokenizer)
    return replace(source, figures={"dev": {"rounded": 0.0}}, definition=definition)


def test_figures_are_measured_again_with_the_rounded_weights(sentiment: Exported) -> None:
    assert measured(measured_checkpoint(sentiment)) == (
        Figure(metric="rounded", split="dev", value=0.0, of="checkpoint"),
        Figure(metric="rounded", split="dev", value=1.0, of="graph"),
    )


def test_weights_that_are_float16_already_are_not_measured_twice(sentiment: Exported) -> None:
    source = measured_checkpoint(sentiment)
    assert measured(replace(source, model=rounded(source.model))) == (
        Figure(metric="rounded", split="dev", value=0.0, of="checkpoint"),
        Figure(metric="rounded", split="dev", value=0.0, of="graph"),
    )


def test_without_the_data_only_the_checkpoints_own_figures_are_there(
    sentiment: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path))
    figures = measured(replace(sentiment.checkpoint, figures={"dev": {"accuracy": 0.85}}))
    assert figures == (Figure(metric="accuracy", split="dev", value=0.85, of="checkpoint"),)
    assert "not measured: missing data file" in capsys.readouterr().err


def test_a_checkpoint_that_was_never_evaluated_has_no_figures(sentiment: Exported) -> None:
    assert measured(sentiment.checkpoint) == ()


def test_the_card_shows_both_figures_side_by_side(sentiment: Exported) -> None:
    figures = (
        Figure(metric="accuracy", split="dev", value=0.85, of="checkpoint"),
        Figure(metric="examples", split="dev", value=872, of="checkpoint"),
        Figure(metric="accuracy", split="dev", value=0.8475, of="graph"),
    )
    manifest = sentiment.bundle.manifest.model_copy(update={"figures": figures})
    card = render(manifest, prove(sentiment.open(), sentiment.checkpoint), sentiment.bundle.path)
    assert "| dev | accuracy | 0.8500 | 0.8475 |" in card
    assert "| dev | examples | 872 | not measured |" in card


@pytest.mark.parametrize(
    ("numerics", "column", "others"),
    [("float32", "rounded weights", ("int8", "onnxruntime")), ("int8", "int8 graphs", ("torch", "rounded"))],
)
def test_the_card_says_what_a_figure_was_measured_with(
    sentiment: Exported, numerics: str, column: str, others: tuple[str, ...]
) -> None:
    figures = (Figure(metric="accuracy", split="dev", value=0.85, of="checkpoint"),)
    manifest = sentiment.bundle.manifest.model_copy(update={"figures": figures, "numerics": numerics})
    card = render(manifest, prove(sentiment.open(), sentiment.checkpoint), sentiment.bundle.path)
    section = card.partition("## Figures")[2].partition("## Data")[0]
    assert f"| split | figure | checkpoint | {column} |" in section
    assert "| dev | accuracy | 0.8500 | not measured |" in section
    assert not any(other in section for other in others)


def test_the_card_of_a_forecaster_says_that_its_bands_know_the_dev_rows(
    forecasting: Exported, sentiment: Exported
) -> None:
    for exported, is_said in ((forecasting, True), (sentiment, False)):
        figures = (Figure(metric="coverage_80_h96", split="dev", value=0.8, of="checkpoint"),)
        manifest = exported.bundle.manifest.model_copy(update={"figures": figures})
        assert (
            "dev coverage is in-sample"
            in render(manifest, prove(exported.open(), exported.checkpoint), exported.bundle.path)
        ) == is_said


def test_figures_of_several_seeds_are_averaged(sentiment: Exported) -> None:
    first = measured_checkpoint(sentiment)
    second = replace(first, figures={"dev": {"rounded": 0.5, "accuracy": 0.9}})
    third = replace(first, figures={"dev": {"rounded": 1.0}})
    figures = measured(first, [second, third])
    assert figures[1:2] == (Figure(metric="rounded", split="dev", value=0.5, of="seeds", deviation=0.5, runs=3),)
    assert [figure.of for figure in figures] == ["checkpoint", "seeds", "graph"]
    manifest = sentiment.bundle.manifest.model_copy(update={"figures": figures})
    card = render(manifest, prove(sentiment.open(), sentiment.checkpoint), sentiment.bundle.path)
    assert "| dev | rounded | 0.0000 | 0.5000 ± 0.5000 | 1.0000 |" in card
    assert "3 runs" in card


def test_a_checkpoint_of_another_task_is_no_other_seed(sentiment: Exported, generation: Exported) -> None:
    with pytest.raises(NotASeed, match="is a checkpoint of generation, not of sentiment"):
        measured(measured_checkpoint(sentiment), [generation.checkpoint])


@pytest.mark.parametrize(
    ("settings_type", "key", "own"),
    [
        (SentimentSettings, ("own",), {"text": "text", "label": "label", "labels": ("no", "yes")}),
        (GenerationSettings, ("text",), {}),
        (
            ForecastingSettings,
            ("data", "own"),
            {"time": "day", "targets": ("a",), "interval": "1 day", "horizon": 96, "naive_season": 7},
        ),
    ],
)
def test_runs_of_one_file_may_have_found_it_in_different_places(
    settings_type: type[Settings], key: tuple[str, ...], own: dict[str, Any]
) -> None:
    def of(path: str, sha256: str) -> Settings:
        values: dict[str, Any] = {"path": path, "sha256": sha256, **own}
        for name in reversed(key):
            values = {name: values}
        return validate(settings_type, values)

    first = of("here/own.csv", "0" * 64)
    check_alike(Path("run"), of("there/own.csv", "0" * 64), first)
    with pytest.raises(NotASeed, match=rf"differs in more than its seed, for example in {'.'.join(key)}\.sha256"):
        check_alike(Path("run"), of("here/own.csv", "1" * 64), first)


def test_a_figure_of_one_run_says_nothing_of_seeds() -> None:
    assert set(Figure(metric="accuracy", split="dev", value=0.9).model_dump()) == {"metric", "split", "value", "of"}
