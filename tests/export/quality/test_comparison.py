"""Cards that are true, and cards that are not."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from export.bundle import card
from export.bundle.bundle import CARD
from export.bundle.directory import write_manifest
from export.command import main
from export.proof.report import Check, Report
from export.quality import comparison, quality
from export.quality.comparison import Claim, claimed, own_figures
from export.recipes.registry import plan_of_bundle
from export.running.rungs import Rungs
from service.bundle.manifest import Bundle, Figure
from tests.export.conftest import CHARACTERS, Exported

REPORT = Report((Check("torch", "encode", 1, 0.0, limit=1e-4),), onnxruntime="1", torch="2")


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> None:
    characters = np.random.default_rng(0).choice(list(CHARACTERS), 400)
    monkeypatch.setattr(quality.tinyshakespeare, "load", lambda: "".join(characters))


def with_figures(bundle: Bundle, *figures: Figure) -> Bundle:
    return Bundle(bundle.path, bundle.manifest.model_copy(update={"figures": figures}), bundle.version)


def graph_figure(value: float) -> Figure:
    return Figure(metric="nats_per_char", split="dev", value=value, of="graph")


@pytest.mark.usefixtures("text")
def test_a_claim_holds_where_the_graphs_give_it(generation: Exported) -> None:
    bundle = generation.bundle
    found = quality.measure(bundle, Rungs(bundle, plan_of_bundle(bundle))).value
    assert comparison.check(bundle, graph_figure(found)).holds
    assert not comparison.check(bundle, graph_figure(found * 1.01)).holds


@pytest.mark.usefixtures("text")
def test_graphs_that_give_another_figure_are_an_error(generation: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(comparison.CardDisagrees, match=generation.bundle.manifest.name):
        comparison.check_graphs([with_figures(generation.bundle, graph_figure(1e-3))])
    assert "DISAGREES" in capsys.readouterr().out


def test_what_is_no_number_never_holds() -> None:
    assert not Claim("bundle", graph_figure(1.0), float("nan")).holds


def test_a_bundle_that_claims_nothing_to_check_is_told_and_no_error(
    generation: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = with_figures(generation.bundle, Figure(metric="other", split="dev", value=1.0, of="graph"))
    assert claimed(bundle) is None
    comparison.check_graphs([bundle])
    assert "not checked" in capsys.readouterr().out


def test_figures_of_graphs_and_of_seeds_stand_beside_published_ones(generation: Exported) -> None:
    seeds = Figure(metric="nats_per_char", split="dev", value=1.5, of="seeds", deviation=0.01, runs=3)
    checkpoint = Figure(metric="nats_per_char", split="dev", value=1.4)
    own = list(own_figures(with_figures(generation.bundle, checkpoint, graph_figure(1.45), seeds)))
    assert [(figure.value, figure.deviation) for figure in own] == [(1.45, None), (1.5, 0.01)]


def test_a_card_that_was_edited_is_an_error(
    generation: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = with_figures(generation.bundle, graph_figure(1.2345), Figure(metric="other", split="test", value=100.0))
    path = tmp_path / "models" / "generation"
    shutil.copytree(bundle.path, path)
    compare = ["compare", "--models", str(tmp_path / "models"), "--no-measure"]
    content = card.render(bundle.manifest, REPORT, path)
    edited = content.replace("1.2345", "1.1345")
    swapped = content.replace("| not measured | 1.2345 |", "| 1.2345 | not measured |")
    assert swapped != content
    for text, status in ((content, 0), (edited, 1), (swapped, 1)):
        (path / CARD).write_text(text, encoding="utf-8")
        write_manifest(path, bundle.manifest)  # with the checksum of the edited card
        assert main(compare) == status
    assert "dev nats_per_char 1.2345 (graph)" in capsys.readouterr().err
