"""What the service is compared to must be the same model."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.baselines import MODELS
from bench.baselines.fused import FusedModel
from bench.raw import filled, num_tokens
from service.bundle.graph import open_graph
from service.bundle.manifest import Bundle, read_bundle

LENGTHS = (1, 5, 3, 19)


def logits_of_rungs(bundle: Bundle, text: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits after the last item, step by step."""
    stage = bundle.manifest.stage("encode")
    graph = open_graph(bundle, stage, 1)
    state = {spec.name: filled(spec, 1, 1) for spec in bundle.manifest.state}
    names = ["logits", *(f"{name}_next" for name in stage.reads)]
    logits = np.empty(0, np.float32)
    for item in text:
        feeds = {"x": np.array([[item]]), **{name: state[name] for name in stage.reads}}
        logits, *following = graph.run(names, feeds)
        state.update(zip(stage.reads, following, strict=True))
    return logits[0, -1]


@pytest.mark.parametrize("name", ["generation", "sentiment"])
def test_the_fused_model_answers_what_the_rungs_answer(name: str) -> None:
    bundle = read_bundle(MODELS / name)
    generator = np.random.default_rng(0)
    vocabulary = num_tokens(bundle) if name == "generation" else 1000
    texts = [generator.integers(0, vocabulary, length) for length in LENGTHS]
    expected = np.stack([logits_of_rungs(bundle, text) for text in texts])
    np.testing.assert_allclose(FusedModel(MODELS / name).logits(texts), expected, atol=1e-4)
