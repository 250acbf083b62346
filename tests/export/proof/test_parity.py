"""The proof holds for what was exported, and for nothing that was tampered with."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from export.proof.parity import prove
from export.proof.report import Report
from tests.export.changed_weight import change_recurrent_weight
from tests.export.conftest import MODEL, Exported, assert_every_trained_weight_is_proved, export_small

TAGGER = {"word_size": 10, "character_size": 6, "character_hidden_size": 5, "hidden_size": 16, "layers": 1}


def failing(report: Report) -> set[tuple[str, str, int]]:
    return {(check.name, check.stage, check.size) for check in report.failures}


def copy_bundle(exported: Exported, directory: Path) -> Path:
    return Path(shutil.copytree(exported.bundle.path, directory / "copy"))


def edit(path: Path, *nodes: onnx.NodeProto, output: str) -> None:
    """Let nodes work on an output of a graph: they take it as "before" and return it under its name."""
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        node.output[:] = ["before" if name == output else name for name in node.output]
        node.input[:] = ["before" if name == output else name for name in node.input]
    model.graph.node.extend(nodes)
    path.write_bytes(model.SerializeToString())


def add(value: float, output: str) -> list[onnx.NodeProto]:
    constant = numpy_helper.from_array(np.array(value, dtype=np.float32), "value")
    return [
        helper.make_node("Constant", [], ["added"], value=constant),
        helper.make_node("Add", ["before", "added"], [output]),
    ]


def test_what_was_exported_is_proved(exported: Exported) -> None:
    report = prove(exported.open(), exported.checkpoint)
    assert report.passed, str(report)


EXPECTED = {
    "sentiment": {
        ("trained", "all", 0),
        *{(name, "encode", size) for name in ("torch", "batch", "nan") for size in (1, 3)},
        ("steps", "encode", 3),
        ("cuts", "encode", 0),
    },
    "generation": {
        ("trained", "all", 0),
        *{(name, "encode", size) for name in ("torch", "batch", "nan") for size in (1, 3)},
        ("steps", "encode", 3),
        ("cuts", "encode", 0),
        *{(name, "decode", size) for name in ("torch", "batch", "nan", "steps") for size in (2, 5)},
        ("cuts", "decode", 0),
        ("reading", "decode", 0),
    },
    "forecasting": {
        ("trained", "all", 0),
        *{(name, "encode", 1) for name in ("torch", "batch", "nan")},
        *{(name, "forecast", size) for name in ("torch", "batch", "nan") for size in (1, 3)},
        ("horizon", "forecast", 1),
    },
    "forecasting-window": {
        ("trained", "all", 0),
        *{(name, "encode", size) for name in ("torch", "batch", "nan") for size in (1, 3)},
        ("steps", "encode", 3),
        ("cuts", "encode", 0),
        *{(name, "forecast", size) for name in ("torch", "batch", "nan") for size in (1, 3)},
        ("horizon", "forecast", 1),
    },
}


def test_every_rung_of_every_stage_is_checked(exported: Exported) -> None:
    checks = prove(exported.open(), exported.checkpoint).checks
    assert {(check.name, check.stage, check.size) for check in checks} == EXPECTED[exported.checkpoint.task]
    assert len(checks) == len(EXPECTED[exported.checkpoint.task])


def test_numbers_may_differ_a_little_and_bits_not_at_all(generation: Exported) -> None:
    checks = prove(generation.open(), generation.checkpoint).checks
    limits = {check.limit for check in checks if check.name in {"torch", "trained"}}
    others = {check.limit for check in checks if check.name not in {"torch", "trained"}}
    assert (limits, others) == ({1e-5}, {0.0})


def test_a_changed_weight_is_noticed(exported: Exported, tmp_path: Path) -> None:
    copy = copy_bundle(exported, tmp_path)
    change_recurrent_weight(copy)
    assert "torch" in {name for name, _, _ in failing(prove(exported.open(copy), exported.checkpoint))}


def test_a_weight_of_nan_is_noticed(sentiment: Exported, tmp_path: Path) -> None:
    copy = copy_bundle(sentiment, tmp_path)
    edit(copy / "encode-3.onnx", *add(float("nan"), "logits"), output="logits")
    assert ("torch", "encode", 3) in failing(prove(sentiment.open(copy), sentiment.checkpoint))


def test_a_rung_that_differs_in_its_last_bits_is_noticed(sentiment: Exported, tmp_path: Path) -> None:
    copy = copy_bundle(sentiment, tmp_path)
    edit(copy / "encode-3.onnx", *add(3e-7, "h_next"), output="h_next")
    assert failing(prove(sentiment.open(copy), sentiment.checkpoint)) == {("steps", "encode", 3), ("cuts", "encode", 0)}


def test_rows_that_see_each_other_are_noticed(sentiment: Exported, tmp_path: Path) -> None:
    copy = copy_bundle(sentiment, tmp_path)
    for size in (1, 3):
        # What dynamic quantization does: a number that is taken over the whole batch.
        tiny = numpy_helper.from_array(np.array(3e-8, dtype=np.float32), "tiny")
        edit(
            copy / f"encode-{size}.onnx",
            helper.make_node("ReduceSum", ["before"], ["sum"], keepdims=1),
            helper.make_node("Constant", [], ["tiny"], value=tiny),
            helper.make_node("Mul", ["sum", "tiny"], ["leak"]),
            helper.make_node("Add", ["before", "leak"], ["pool_sum_next"]),
            output="pool_sum_next",
        )
    noticed = failing(prove(sentiment.open(copy), sentiment.checkpoint))
    assert {("nan", "encode", 1), ("nan", "encode", 3)} <= noticed
    assert {("batch", "encode", 1), ("batch", "encode", 3)} <= noticed


def test_one_row_of_a_batch_that_sees_the_others_is_noticed(sentiment: Exported, tmp_path: Path) -> None:
    copy = copy_bundle(sentiment, tmp_path)
    for size in (1, 3):
        # What a kernel with another path for some rows does: only row 20 of a batch differs from the row alone.
        constants = {"zero": np.array(0), "one": np.array(1), "row": np.array(20), "tiny": np.array(1e-4, np.float32)}
        edit(
            copy / f"encode-{size}.onnx",
            *(helper.make_node("Constant", [], [n], value=numpy_helper.from_array(v)) for n, v in constants.items()),
            helper.make_node("Shape", ["before"], ["length"], start=0, end=1),
            helper.make_node("Squeeze", ["length"], ["rows"]),
            helper.make_node("Range", ["zero", "rows", "one"], ["numbers"]),
            helper.make_node("Equal", ["numbers", "row"], ["is_row"]),
            helper.make_node("Cast", ["is_row"], ["mask"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", ["mask", "tiny"], ["leak"]),
            helper.make_node("Unsqueeze", ["leak", "one"], ["column"]),
            helper.make_node("Add", ["before", "column"], ["pool_sum_next"]),
            output="pool_sum_next",
        )
    assert failing(prove(sentiment.open(copy), sentiment.checkpoint)) == {
        ("batch", "encode", 1),
        ("batch", "encode", 3),
    }


def test_a_forecast_that_depends_on_how_far_was_asked_is_noticed(forecasting: Exported, tmp_path: Path) -> None:
    copy = copy_bundle(forecasting, tmp_path)
    tiny = numpy_helper.from_array(np.array(1 + 1e-12), "tiny")
    edit(
        copy / "forecast-3.onnx",
        helper.make_node("Constant", [], ["tiny"], value=tiny),
        helper.make_node("Mul", ["before", "tiny"], ["mean"]),
        output="mean",
    )
    assert failing(prove(forecasting.open(copy), forecasting.checkpoint)) == {("horizon", "forecast", 1)}


def test_sampling_that_leaves_another_state_than_reading_is_noticed(generation: Exported, tmp_path: Path) -> None:
    copy = copy_bundle(generation, tmp_path)
    for size in (2, 5):
        edit(copy / f"decode-{size}.onnx", *add(3e-7, "c_next"), output="c_next")
    assert ("reading", "decode", 0) in failing(prove(generation.open(copy), generation.checkpoint))


def test_the_graphs_are_the_model_that_was_trained(exported: Exported) -> None:
    assert_every_trained_weight_is_proved(exported)


@pytest.mark.parametrize(
    ("task", "model", "stages"),
    [
        ("sentiment", MODEL, ["encode"]),
        ("generation", {**MODEL, "layers": 2}, ["encode", "decode"]),
        ("generation", {**MODEL, "cell": "mingru", "kernel_size": 4, "mlp_size": 12}, ["encode", "decode"]),
        ("sentiment-bidirectional", MODEL, ["forward1", "backward1", "head"]),
        ("tagging", TAGGER, ["characters_forward", "characters_backward", "forward1", "backward1", "head"]),
    ],
)
def test_a_recurrence_that_advances_by_single_items_is_the_trained_one(
    tmp_path: Path, task: str, model: dict[str, object], stages: list[str]
) -> None:
    assert_every_trained_weight_is_proved(export_small(tmp_path, task, model, dict.fromkeys(stages, (1,))))
