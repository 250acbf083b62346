"""What the rungs are compared to must be the same model."""

import numpy as np
import pytest

from bench.baselines import MODELS
from bench.options import Options
from bench.rungs import FUSED, LIMITS, TURNS, durations, feeds, open_rungs
from service.bundle.manifest import read_bundle

BUNDLE = read_bundle(MODELS / "generation")


@pytest.mark.parametrize(("T", "N"), [(1, 3), (8, 2)])
def test_the_fused_operator_and_both_ladders_answer_alike(T: int, N: int) -> None:
    graphs = open_rungs(BUNDLE, T)
    assert list(graphs) == [FUSED, *LIMITS]
    outputs = ["logits", "h_next", "c_next", "pending_logits_next"]
    inputs = feeds(BUNDLE, T, N)
    rng = np.random.default_rng(1)
    inputs |= {name: rng.uniform(-1, 1, inputs[name].shape).astype(np.float32) for name in ("h", "c")}
    fused, float32, int8 = (graph.run(outputs, inputs) for graph in graphs.values())
    for expected, exact, rough in zip(fused, float32, int8, strict=True):
        np.testing.assert_allclose(exact, expected, atol=3e-5)
        np.testing.assert_allclose(rough, expected, atol=1.0)
        assert not np.array_equal(rough, exact)


def test_all_graphs_have_as_many_turns() -> None:
    graphs = open_rungs(BUNDLE, 1)
    seconds = durations(graphs, feeds(BUNDLE, 1, 2), Options(rounds=1))
    assert {name: len(values) for name, values in seconds.items()} == dict.fromkeys(graphs, TURNS)
    assert all((values > 0).all() for values in seconds.values())
