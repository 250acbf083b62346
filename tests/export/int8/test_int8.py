"""An int8 bundle takes the place of the float32 one that it was made from."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from export.command import main
from export.errors import NotFloat32, NotQuantizable, ParityFailed, QualityLost
from export.int8 import int8
from export.int8.int8 import quantize
from export.proof.parity import prove
from export.proof.report import Check, Report
from export.quality.quality import MEASURES
from export.recipes.registry import plan_of_bundle
from export.running.rungs import Rungs
from service.bundle.manifest import Bundle, Figure, TrainingData, read_bundle
from tests.export.conftest import GENERATION_RUNGS, Exported
from training.data.source import DataError


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What is measured of float32 and int8 graphs; the toy models know no real data."""
    values = {"float32": 1.0, "int8": 1.0}

    def measure(bundle: Bundle, _: Rungs) -> Figure:
        return Figure(metric="m", split="dev", value=values[bundle.manifest.numerics], of="graph")

    monkeypatch.setattr(int8, "measure", measure)
    return values


def having(bundle: Bundle, operators: set[str]) -> set[str]:
    """The graphs in which there is one of these operators."""
    graphs = {path.stem: onnx.load(path, load_external_data=False).graph for path in bundle.path.glob("*.onnx")}
    return {name for name, graph in graphs.items() if operators & {node.op_type for node in graph.node}}


@pytest.mark.usefixtures("figures")
def test_only_numerics_figures_and_files_differ(exported: Exported, tmp_path: Path) -> None:
    made = quantize(exported.bundle, tmp_path / "int8")
    before, after = exported.bundle.manifest, made.bundle.manifest
    assert (before.numerics, after.numerics) == ("float32", "int8")
    changed = {"numerics", "figures", "files"}
    assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    assert after.files.keys() == before.files.keys()
    assert made.bundle.version != exported.bundle.version


@pytest.mark.usefixtures("figures")
def test_every_rung_multiplies_integers(exported: Exported, tmp_path: Path) -> None:
    made = quantize(exported.bundle, tmp_path / "int8")
    multiplying = having(made.bundle, {"MatMulInteger"})
    assert multiplying
    assert multiplying == having(exported.bundle, {"MatMul", "Gemm"})


@pytest.mark.usefixtures("figures")
def test_all_checks_of_bits_hold_and_the_error_is_told(exported: Exported, tmp_path: Path) -> None:
    made = quantize(exported.bundle, tmp_path / "int8")
    bits = {
        (check.name, check.stage, check.size)
        for check in prove(exported.open(), exported.checkpoint).checks
        if check.limit == 0
    }
    found = {(check.name, check.stage, check.size) for check in made.report.checks if check.limit == 0}
    assert found == bits
    errors = {f"{each.stage}-{each.size}": each.found for each in made.report.checks if each.name == "float32"}
    assert len(errors) == sum(stage.name != "decode" for stage in exported.stages for _ in stage.sizes)
    multiplying = having(made.bundle, {"MatMulInteger"})
    assert all(1e-5 < error < 10 if name in multiplying else error == 0 for name, error in errors.items())
    json.loads(made.bundle.file("parity.json").read_text(), parse_constant=pytest.fail)


def test_both_figures_are_kept_beside_the_checkpoints(
    generation: Exported, tmp_path: Path, figures: dict[str, float]
) -> None:
    trained = Figure(metric="m", split="dev", value=0.98, of="checkpoint")
    rounded = Figure(metric="other", split="dev", value=3.0, of="graph")
    manifest = generation.bundle.manifest.model_copy(update={"figures": (trained, rounded)})
    figures["int8"] = 1.009
    made = quantize(Bundle(generation.bundle.path, manifest, "float32"), tmp_path / "int8").bundle
    assert [(f.of, f.value) for f in made.manifest.figures] == [
        ("checkpoint", 0.98),
        ("float32", 1.0),
        ("graph", 1.009),
    ]
    assert "| dev | m | 0.9800 | 1.0000 | 1.0090 |" in made.file("README.md").read_text()


@pytest.mark.parametrize(
    ("task", "float32", "kept", "lost"),
    [
        ("generation", 1.5, 1.5149, 1.5151),
        ("forecasting", 0.7, 0.7069, 0.7071),
        ("sentiment", 0.85, 0.8471, 0.8469),
        ("generation", 1.5, 1.2, float("nan")),
    ],
)
def test_a_hundredth_or_three_thousandths_may_be_lost(task: str, float32: float, kept: float, lost: float) -> None:
    MEASURES[task].check(float32, kept)
    with pytest.raises(QualityLost, match="is allowed"):
        MEASURES[task].check(float32, lost)


def test_a_bundle_that_loses_too_much_is_not_written(
    sentiment: Exported, tmp_path: Path, figures: dict[str, float]
) -> None:
    figures["int8"] = 0.9
    with pytest.raises(QualityLost, match=r"0\.9000 in int8 and 1\.0000 in float32"):
        quantize(sentiment.bundle, tmp_path / "int8")
    assert list(tmp_path.iterdir()) == []


def test_without_the_data_nothing_is_claimed(
    sentiment: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Figure:
        raise DataError("no network")

    monkeypatch.setattr(int8, "measure", fail)
    assert quantize(sentiment.bundle, tmp_path / "int8").bundle.manifest.figures == ()
    assert "not measured: no network" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sentiment", "generation", "forecasting"])
def test_a_model_of_a_users_own_data_is_not_measured_on_published_data(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported: Exported = request.getfixturevalue(name)
    own = TrainingData(name="mails.csv", address="file:mails.csv", sha256="0" * 64, licence="that of its owner")
    trained = Figure(metric="accuracy", split="dev", value=0.98, of="checkpoint")
    manifest = exported.bundle.manifest.model_copy(update={"data": (own,), "figures": (trained,)})
    made = quantize(Bundle(exported.bundle.path, manifest, "own"), tmp_path / "int8").bundle
    assert made.manifest.figures == (trained,)
    assert "| dev | accuracy | 0.9800 | not measured |" in made.file("README.md").read_text()
    assert f"not measured: {name} learned from mails.csv, but its figure would be of " in capsys.readouterr().err


@pytest.mark.usefixtures("figures")
def test_a_bundle_without_a_product_in_a_known_range_is_refused(
    sentiment: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(int8.RANGES, ("sentiment", "gru"), {"rnn.*.Wh": 1.0})
    with pytest.raises(NotQuantizable, match=r"no product has a weight of rnn\.\*\.Wh"):
        quantize(sentiment.bundle, tmp_path / "int8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("figures")
def test_a_failed_proof_writes_nothing(sentiment: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report((Check("batch", "encode", 1, found=3),), "", "")
    monkeypatch.setattr(int8, "prove", lambda *_: report)
    with pytest.raises(ParityFailed, match=r"batch +encode"):
        quantize(sentiment.bundle, tmp_path / "int8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("figures")
def test_an_int8_bundle_cannot_be_quantized_again(sentiment: Exported, tmp_path: Path) -> None:
    made = quantize(sentiment.bundle, tmp_path / "int8").bundle
    with pytest.raises(NotFloat32, match="is an int8 bundle"):
        quantize(made, tmp_path / "again")


def test_a_task_whose_ranges_are_unknown_is_not_quantized(
    sentiment: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(int8.RANGES, ("sentiment", "gru"))
    with pytest.raises(
        NotQuantizable,
        match="for generation by lstm, forecasting by gru can be quantized to int8, not those for sentiment",
    ):
        quantize(sentiment.bundle, tmp_path / "int8")


def test_the_float32_bundle_is_not_replaced(sentiment: Exported, tmp_path: Path) -> None:
    copy = read_bundle(Path(shutil.copytree(sentiment.bundle.path, tmp_path / "sentiment")))
    assert main(["quantize", str(copy.path), "--output", str(tmp_path), "--no-import"]) == 1
    assert read_bundle(copy.path).version == copy.version


@pytest.mark.usefixtures("figures")
def test_a_checkpoint_and_its_bundle_give_the_same_int8_bundle(
    generation: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ladders = [f"--rungs={stage}={','.join(map(str, sizes))}" for stage, sizes in GENERATION_RUNGS.items()]
    source = str(generation.checkpoint.path)
    assert main([source, "--int8", "--output", str(tmp_path / "one"), "--no-import", *ladders]) == 0
    assert main(["quantize", str(generation.bundle.path), "--output", str(tmp_path / "two"), "--no-import"]) == 0
    one, two = (read_bundle(tmp_path / name / "generation") for name in ("one", "two"))
    assert one.version == two.version
    assert "int8      dev m 1.0000" in capsys.readouterr().out


def test_a_bundle_is_planned_as_its_checkpoint_is(exported: Exported) -> None:
    """But for the model, which a bundle does not hold."""
    for found, expected in zip(plan_of_bundle(exported.bundle), exported.stages, strict=True):
        same = replace(found, build=expected.build, draw=expected.draw)
        assert same == expected
        with pytest.raises(NotImplementedError, match="no model"):
            found.build(1)
