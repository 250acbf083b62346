"""Figures over several seeds, for a bundle that is there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.command import main
from export.errors import NotASeed, NotMeasured
from export.proof.report import Check, Report
from export.quality.seeds import add_seeds
from service.bundle.manifest import Bundle, Figure, TrainingData, read_bundle
from tests.export.conftest import Exported

Run = Callable[[str, float], Path]


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


@pytest.fixture
def run(sentiment: Exported, tmp_path: Path) -> Run:
    """Makes the checkpoint of another run of the same settings, measured."""

    def make(name: str, accuracy: float) -> Path:
        directory = Path(shutil.copytree(sentiment.checkpoint.path, tmp_path / name))
        (directory / "figures.json").write_text(json.dumps({"dev": {"accuracy": accuracy, "other": 1.0}}))
        return directory

    return make


def test_mean_and_deviation_come_into_manifest_and_card(bundle: Bundle, run: Run) -> None:
    others = [run("two", 0.9), run("three", 1.0)]
    assert main(["seeds", str(bundle.path), *map(str, others)]) == 0
    made = read_bundle(bundle.path)
    found = [(figure.of, pytest.approx(figure.value), figure.runs) for figure in made.manifest.figures]
    assert found == [("checkpoint", 0.8, None), ("seeds", 0.9, 3), ("graph", 0.7, None)]
    assert "| dev | accuracy | 0.8000 | 0.9000 ± 0.1000 | 0.7000 |" in made.file("README.md").read_text()
    changed = {"figures", "files"}
    assert made.manifest.model_dump(exclude=changed) == bundle.manifest.model_dump(exclude=changed)
    for name in bundle.manifest.files.keys() - {"README.md"}:
        assert made.manifest.files[name] == bundle.manifest.files[name]


def test_doing_it_again_replaces_the_former_figures(bundle: Bundle, run: Run) -> None:
    other = run("two", 0.9)
    once = add_seeds(bundle, [other])
    assert add_seeds(once, [other]).version == once.version


def test_a_run_without_figures_is_an_error_that_says_what_to_do(bundle: Bundle, run: Run) -> None:
    fresh = run("fresh", 0.9)
    (fresh / "figures.json").unlink()
    with pytest.raises(NotMeasured, match="training evaluate"):
        add_seeds(bundle, [fresh])
    assert read_bundle(bundle.path).version == bundle.version


def test_a_bundle_without_figures_has_none_to_average(sentiment: Exported, tmp_path: Path, run: Run) -> None:
    path = Path(shutil.copytree(sentiment.bundle.path, tmp_path / "sentiment"))
    with pytest.raises(NotMeasured, match="no figures"):
        add_seeds(read_bundle(path), [run("two", 0.9)])


def test_runs_of_another_training_or_of_other_settings_are_no_seeds(bundle: Bundle, run: Run) -> None:
    two, three = run("two", 0.9), run("three", 1.0)
    change(three, lambda config: config["settings"].update(seed=3))
    add_seeds(bundle, [two, three])
    change(three, lambda config: config["settings"]["model"].update(dropout=0.99))
    with pytest.raises(NotASeed, match=r"differs in more than its seed, for example in model\.dropout$"):
        add_seeds(bundle, [two, three])
    change(two, lambda config: config.update(command="python -m training sentiment-of-mine --set seed=2"))
    with pytest.raises(
        NotASeed, match="was trained by 'python -m training sentiment-of-mine --set seed=2', and the bundle by"
    ):
        add_seeds(bundle, [two])


def test_a_run_that_sets_what_the_bundles_command_does_not_is_no_seed(bundle: Bundle, run: Run) -> None:
    two = run("two", 0.9)
    command = f"{bundle.manifest.command} --set seed=7 --set loop.threads=2"
    change(two, lambda config: config.update(command=command))
    add_seeds(bundle, [two])
    change(two, lambda config: config.update(command=f"{command} --set loop.weight_decay=0.3"))
    with pytest.raises(NotASeed, match=r"with --set loop\.weight_decay=0\.3, and the bundle without it$"):
        add_seeds(bundle, [two])
    change(two, lambda config: config.update(command=f"{command} --set=loop.weight_decay=0.3"))
    with pytest.raises(NotASeed, match=r"with --set loop\.weight_decay=0\.3, and the bundle without it$"):
        add_seeds(bundle, [two])


def test_a_run_with_other_options_is_no_seed(bundle: Bundle, run: Run) -> None:
    two = run("two", 0.9)
    change(two, lambda config: config.update(command=f"{bundle.manifest.command} --output runs/two --overwrite"))
    add_seeds(bundle, [two])
    change(two, lambda config: config.update(command=f"{bundle.manifest.command} --season 12"))
    with pytest.raises(NotASeed, match=r"was trained by '.* --season 12', and the bundle by"):
        add_seeds(bundle, [two])


def test_a_run_without_what_the_bundles_command_sets_is_no_seed(bundle: Bundle, run: Run) -> None:
    longer = bundle.manifest.model_copy(update={"command": f"{bundle.manifest.command} --set loop.weight_decay=0.3"})
    two = run("two", 0.9)
    with pytest.raises(NotASeed, match=r"differs in more than its seed, for example in loop\.weight_decay$"):
        add_seeds(Bundle(bundle.path, longer, "1"), [two])
    change(two, lambda config: config["settings"]["loop"].update(weight_decay=0.3))
    add_seeds(Bundle(bundle.path, longer, "1"), [two])


def test_a_run_on_another_file_is_no_seed(bundle: Bundle, run: Run) -> None:
    own = TrainingData(name="mails.csv", address="file:mails.csv", sha256="0" * 64, licence="")
    learned = Bundle(bundle.path, bundle.manifest.model_copy(update={"data": (own,)}), "1")
    with pytest.raises(NotASeed, match=r"learned from other data than the bundle$"):
        add_seeds(learned, [run("two", 0.9)])


def test_runs_that_were_trained_elsewhere_are_seeds_only_of_the_same_command(bundle: Bundle, run: Run) -> None:
    two = run("two", 0.9)
    change(two, lambda config: config.update(command="python train.py --mails"))
    foreign = Bundle(bundle.path, bundle.manifest.model_copy(update={"command": "python train.py --films"}), "1")
    with pytest.raises(NotASeed, match=r"by 'python train\.py --mails', and the bundle by 'python train\.py --films'"):
        add_seeds(foreign, [two])
    change(two, lambda config: config.update(command="python train.py --films"))
    add_seeds(foreign, [two])


def change(run: Path, how: Callable[[dict[str, Any]], None]) -> None:
    config = json.loads((run / "config.json").read_text())
    how(config)
    (run / "config.json").write_text(json.dumps(config))


def test_a_run_of_other_figures_is_an_error_and_changes_nothing(bundle: Bundle, run: Run) -> None:
    averaged = add_seeds(bundle, [run("two", 0.9)])
    other = run("other", 0.9)
    (other / "figures.json").write_text(json.dumps({"dev": {"bleu": 30.0}}))
    with pytest.raises(NotASeed, match="no figure in common"):
        add_seeds(averaged, [other])
    assert read_bundle(bundle.path).version == averaged.version


def test_a_run_counts_once(bundle: Bundle, run: Run) -> None:
    two = run("two", 0.9)
    with pytest.raises(NotASeed, match="give each run once"):
        add_seeds(bundle, [two, two])


def test_a_report_is_read_as_it_was_written() -> None:
    checks = (Check("torch", "encode", 1, 1e-7, 1e-5), Check("float32", "encode", 2, 0.5, float("inf")))
    report = Report(checks, onnxruntime="1", torch="2")
    assert Report.from_json(json.loads(json.dumps(report.as_json()))) == report
