"""Figures over several seeds, for a bundle that is there."""

import json
import shutil
from pathlib import Path

import pytest

from export.__main__ import main
from export.errors import NotASeed, NotMeasured
from export.report import Check, Report
from export.seeds import add_seeds
from service.bundle.manifest import Bundle, Figure, read_bundle
from tests.export.conftest import Exported


@pytest.fixture
def bundle(sentiment: Exported, tmp_path: Path) -> Bundle:
    """A copy with figures."""
    path = Path(shutil.copytree(sentiment.bundle.path, tmp_path / "sentiment"))
    manifest = json.loads((path / "manifest.json").read_text())
    figures = [
        Figure(metric="accuracy", split="dev", value=0.8),
        Figure(metric="accuracy", split="dev", value=0.7, of="graph"),
    ]
    manifest["figures"] = [figure.model_dump() for figure in figures]
    (path / "manifest.json").write_text(json.dumps(manifest))
    return read_bundle(path)


def run(directory: Path, accuracy: float) -> Path:
    """What a run leaves, as far as it is read."""
    directory.mkdir()
    (directory / "figures.json").write_text(json.dumps({"dev": {"accuracy": accuracy, "other": 1.0}}))
    return directory


def test_mean_and_deviation_come_into_manifest_and_card(bundle: Bundle, tmp_path: Path) -> None:
    others = [run(tmp_path / "two", 0.9), run(tmp_path / "three", 1.0)]
    assert main(["seeds", str(bundle.path), *map(str, others)]) == 0
    made = read_bundle(bundle.path)
    found = [(figure.of, pytest.approx(figure.value), figure.runs) for figure in made.manifest.figures]
    assert found == [("checkpoint", 0.8, None), ("seeds", 0.9, 3), ("graph", 0.7, None)]
    assert "| dev | accuracy | 0.8000 | 0.9000 ± 0.1000 | 0.7000 |" in made.file("README.md").read_text()
    changed = {"figures", "files"}
    assert made.manifest.model_dump(exclude=changed) == bundle.manifest.model_dump(exclude=changed)
    for name in bundle.manifest.files.keys() - {"README.md"}:
        assert made.manifest.files[name] == bundle.manifest.files[name]


def test_doing_it_again_replaces_the_former_figures(bundle: Bundle, tmp_path: Path) -> None:
    other = run(tmp_path / "two", 0.9)
    once = add_seeds(bundle, [other])
    assert add_seeds(once, [other]).version == once.version


def test_a_run_without_figures_is_an_error_that_says_what_to_do(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "fresh").mkdir()
    with pytest.raises(NotMeasured, match="training evaluate"):
        add_seeds(bundle, [tmp_path / "fresh"])
    assert read_bundle(bundle.path).version == bundle.version


def test_a_bundle_without_figures_has_none_to_average(sentiment: Exported, tmp_path: Path) -> None:
    path = Path(shutil.copytree(sentiment.bundle.path, tmp_path / "sentiment"))
    with pytest.raises(NotMeasured, match="no figures"):
        add_seeds(read_bundle(path), [run(tmp_path / "two", 0.9)])


def test_a_run_of_another_task_is_an_error_and_changes_nothing(bundle: Bundle, tmp_path: Path) -> None:
    averaged = add_seeds(bundle, [run(tmp_path / "two", 0.9)])
    other = run(tmp_path / "other", 0.9)
    (other / "figures.json").write_text(json.dumps({"dev": {"bleu": 30.0}}))
    with pytest.raises(NotASeed, match="no figure in common"):
        add_seeds(averaged, [other])
    assert read_bundle(bundle.path).version == averaged.version


def test_a_run_counts_once(bundle: Bundle, tmp_path: Path) -> None:
    two = run(tmp_path / "two", 0.9)
    with pytest.raises(NotASeed, match="give each run once"):
        add_seeds(bundle, [two, two])


def test_a_report_is_read_as_it_was_written() -> None:
    checks = (Check("torch", "encode", 1, 1e-7, 1e-5), Check("float32", "encode", 2, 0.5, float("inf")))
    report = Report(checks, onnxruntime="1", torch="2")
    assert Report.from_json(json.loads(json.dumps(report.as_json()))) == report
