"""A model by minGRU becomes a bundle as one by an LSTM does: exported only if its graphs prove to be the model."""

from pathlib import Path

import pytest

from export.errors import NotQuantizable
from export.int8.int8 import quantize
from tests.export.conftest import GENERATION_RUNGS, MODEL, Exported, assert_every_trained_weight_is_proved, export_small

K = 3


@pytest.fixture(scope="session")
def mingru(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A character model."""
    model = {**MODEL, "layers": 2, "cell": "mingru", "kernel_size": K, "mlp_size": 12}
    return export_small(tmp_path_factory.mktemp("export"), "generation", model, GENERATION_RUNGS)


def test_the_manifest_names_the_cell_and_what_it_carries(mingru: Exported) -> None:
    manifest = mingru.bundle.manifest
    assert (manifest.cell, manifest.task.kind) == ("mingru", "generation")
    assert {tensor.name: tensor.shape for tensor in manifest.state} == {
        "h": (2, "N", 16),
        "past": (2 * (K - 1), "N", 10),
        "pending_logits": ("N", 11),
    }


def test_the_graphs_give_the_models_numbers_and_a_row_the_same_bits_anywhere(mingru: Exported) -> None:
    for check in ("torch", "batch", "nan", "steps", "cuts", "reading"):
        lines = [line for line in mingru.printed.splitlines() if line.startswith(f"{check} ")]
        assert lines
        assert all(line.endswith("ok") for line in lines)


def test_only_the_recurrence_grows_with_the_rung(mingru: Exported) -> None:
    nodes = {
        int(line.split()[1]): int(line.split()[2])
        for line in mingru.printed.splitlines()
        if "nodes" in line and line.startswith("encode")
    }
    assert nodes[3] - nodes[1] < 30


def test_its_products_have_no_known_range(mingru: Exported, tmp_path: Path) -> None:
    with pytest.raises(NotQuantizable, match="not those for generation by mingru"):
        quantize(mingru.bundle, tmp_path / "int8")


def test_the_graphs_are_the_model_that_was_trained(mingru: Exported) -> None:
    assert_every_trained_weight_is_proved(mingru)
