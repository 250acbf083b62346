import numpy as np

from bench.baselines import MODELS
from bench.raw import DECODE, draw, num_tokens
from service.bundle.graph import open_graph
from service.bundle.manifest import read_bundle
from service.engine.state import RowLayout

BUNDLE = read_bundle(MODELS / "generation")


def test_what_is_drawn_is_sampled_among_all_tokens() -> None:
    stage, N = BUNDLE.manifest.stage(DECODE), 9
    T = min(stage.rungs)
    inputs = draw(BUNDLE, DECODE, T, N, np.random.default_rng(0))
    assert (inputs["top_k"] == num_tokens(BUNDLE)).all()
    layout = RowLayout(BUNDLE.manifest.state)
    feeds = {**inputs, **layout.batch([layout.initial] * N).tensors(stage.reads)}
    (tokens,) = open_graph(BUNDLE, stage, T).run(["tokens"], feeds)
    assert len(np.unique(tokens[:, 0])) > 1  # greedy decoding writes the same in every row
