"""The page of all shipped models."""

from pathlib import Path
from shutil import copytree

import pytest

from export.command import main
from export.quality import overview
from export.recipes.registry import RECIPES, recipe
from service.bundle.manifest import Bundle, Figure, read_bundle
from tests.export.conftest import Exported
from tests.paths import MODELS, ROOT

SHIPPED = overview.shipped(MODELS)


def test_the_page_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    written = overview.render(overview.shipped(Path("models")), "../models/{name}/README.md")
    assert overview.PAGE.read_text(encoding="utf-8") == written, "run `python -m export overview`"


def test_the_command_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = tmp_path / "models.md"
    assert main(["overview", "--output", str(page)]) == 0
    rows = [line for line in page.read_text().splitlines() if line.startswith("| [")]
    assert len(rows) == len(SHIPPED)
    for name in ("sentiment", "generation", "forecasting"):
        assert any(row.startswith(f"| [{name}](") for row in rows)


@pytest.mark.parametrize("command", ["overview", "compare"])
def test_a_directory_without_bundles_is_an_error_and_no_empty_page(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([command]) == 1
    assert "models holds no shipped bundles" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_users_own_bundle_beside_the_shipped_ones_is_not_on_the_page(tmp_path: Path) -> None:
    for name, source in {"sentiment": "sentiment", "mails": "sentiment"}.items():
        copytree(MODELS / source, tmp_path / name)
    assert [bundle.path.name for bundle in overview.shipped(tmp_path)] == ["sentiment"]


@pytest.mark.parametrize("bundle", SHIPPED, ids=lambda bundle: bundle.path.name)
def test_what_ships_was_measured_as_it_is_served(bundle: Bundle) -> None:
    headline = set(recipe(bundle.manifest.task.kind).headline)
    assert headline & {figure.metric for figure in bundle.manifest.figures if figure.of == "graph"}


def test_cards_are_linked_from_the_page() -> None:
    rows = [line for line in (ROOT / overview.PAGE).read_text().splitlines() if line.startswith("| [")]
    links = [row.partition("](")[2].partition(")")[0] for row in rows]
    assert len(links) == len(SHIPPED)
    assert all((ROOT / "docs" / link).is_file() for link in links)


def test_headline_figures_of_graphs_and_seeds_are_shown(generation: Exported) -> None:
    figures = (
        Figure(metric="nats_per_char", split="dev", value=1.5, of="checkpoint"),
        Figure(metric="nats_per_char", split="dev", value=1.51, of="seeds", deviation=0.01, runs=3),
        Figure(metric="nats_per_char", split="dev", value=1.52, of="graph"),
        Figure(metric="characters", split="dev", value=99, of="graph"),
    )
    manifest = generation.bundle.manifest.model_copy(update={"figures": figures})
    page = overview.render([Bundle(generation.bundle.path, manifest, "draft")], "{name}/README.md")
    row = page.splitlines()[-1]
    assert row.startswith("| [generation](generation/README.md) | one to many | `/generate`, sessions | lstm |")
    assert "| dev nats_per_char 1.5200 | dev nats_per_char 1.5100 ± 0.0100 (3) |" in row


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        ("sentiment", "`/sentiment`, sessions"),
        ("sentiment-bidirectional", "`/sentiment`"),
        ("tagging-streaming", "`/tag`, sessions"),
        ("tagging", "`/tag`"),
        ("caption", "`/caption`"),
    ],
)
def test_sessions_are_offered_on_what_reads_from_left_to_right_only(name: str, endpoint: str) -> None:
    page = overview.render([read_bundle(ROOT / "models" / name)], "{name}")
    assert page.splitlines()[-1].split(" | ")[2] == endpoint


def test_what_was_not_measured_is_said(generation: Exported) -> None:
    page = overview.render([generation.bundle], "{name}")
    assert "| not measured | not measured |" in page


@pytest.mark.parametrize("task", RECIPES)
def test_every_task_says_what_it_is_and_what_counts(task: str) -> None:
    found = recipe(task)
    assert found.pattern
    assert found.endpoint.startswith("/")
    assert found.headline
