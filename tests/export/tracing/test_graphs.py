"""Sampling inside the graph against a sampler in plain Python, and what rows may do to each other."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.running.rungs import Answer, Rungs, differing_values, take_rows
from export.stages import Arrays
from export.tracing.graphs import NO_TOKEN, sample
from tests.export.conftest import Exported

K = 5
V = 11
SETTINGS = list(
    product(
        [0.0, 0.3, 1.0, 2.5],  # temperature
        [1, 4, V],  # top_k
        [0.05, 0.5, 0.9, 1.0],  # top_p
        [0, 1, 3, K],  # remaining
    )
)
N = len(SETTINGS)

Numbers = NDArray[Any]


def sample_row(logits: Numbers, uniform: float, temperature: float, top_k: int, top_p: float) -> int:
    """The token of one row, in float64."""
    ranked = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    if temperature == 0:
        return ranked[0]
    scaled = np.array([logits[token] for token in ranked], dtype=np.float64) / temperature
    probabilities = np.exp(scaled - scaled[0]) / np.exp(scaled - scaled[0]).sum()
    eligible, before = [], 0.0
    for rank, probability in enumerate(probabilities):
        if rank == 0 or (rank < top_k and before < top_p):
            eligible.append(probability)
        before += probability
    threshold, reached = uniform * sum(eligible), 0.0
    for token, probability in zip(ranked, eligible, strict=False):
        reached += probability
        if reached > threshold:
            return token
    return ranked[len(eligible) - 1]


@dataclass(frozen=True)
class Decoding:
    """Graphs, and a batch that is about to be decoded."""

    rungs: Rungs
    inputs: Arrays
    state: Arrays

    def run(self, inputs: Arrays | None = None, state: Arrays | None = None) -> Answer:
        """Decode K tokens."""
        stage = self.rungs.stages["decode"]
        return self.rungs.run(
            stage, K, self.inputs if inputs is None else inputs, self.state if state is None else state
        )

    def rows(self, answer: Answer, rows: list[int]) -> Arrays:
        """Tokens and state of some rows."""
        outputs = take_rows(self.rungs.stages["decode"].outputs, answer.outputs, rows)
        return {**outputs, **take_rows(self.rungs.state_specs, answer.state, rows)}

    def read(self, tokens: Numbers, state: Arrays) -> Arrays:
        """The state after reading a token of each row, (N,)."""
        return self.rungs.run(self.rungs.stages["encode"], 1, {"x": tokens[:, None]}, state).state


@pytest.fixture(scope="module")
def decoding(generation: Exported) -> Decoding:
    """A row for each combination of settings, each after a text of its own."""
    rungs = generation.open()
    rng = np.random.default_rng(7)
    temperature, top_k, top_p, remaining = (np.array(values) for values in zip(*SETTINGS, strict=True))
    inputs = {
        "uniforms": rng.random((N, K), dtype=np.float32),
        "temperature": temperature.astype(np.float32),
        "top_k": top_k,
        "top_p": top_p.astype(np.float32),
        "remaining": remaining,
    }
    state = rungs.run(rungs.stages["encode"], 3, {"x": rng.integers(V, size=(N, 3))}, rungs.initial_state(N)).state
    return Decoding(rungs, inputs, state)


def test_decoding_is_sampling_and_reading_token_by_token(decoding: Decoding) -> None:
    answer = decoding.run()
    state = decoding.state
    for k in range(K):
        drawn = [
            sample_row(state["pending_logits"][row], decoding.inputs["uniforms"][row, k], *SETTINGS[row][:3])
            for row in range(N)
        ]
        is_active = decoding.inputs["remaining"] > k
        assert answer.outputs["tokens"][:, k].tolist() == np.where(is_active, drawn, NO_TOKEN).tolist()
        advanced = decoding.read(np.array(drawn), state)
        state = {
            spec.name: np.where(np.expand_dims(is_active, [i for i in range(len(spec.shape)) if i != spec.batch_axis]),
                                advanced[spec.name], state[spec.name])
            for spec in decoding.rungs.state_specs
        }  # fmt: skip
    assert differing_values(answer.state, state) == 0


def test_the_settings_of_this_test_draw_many_different_tokens(decoding: Decoding) -> None:
    tokens = decoding.run().outputs["tokens"]
    assert len(np.unique(tokens)) > V / 2
    ranks = [
        np.argsort(-decoding.state["pending_logits"][row], kind="stable").tolist().index(tokens[row, 0])
        for row in range(N)
        if tokens[row, 0] != NO_TOKEN
    ]
    assert len(set(ranks)) > 5


def test_rows_without_anything_remaining_keep_the_bits_of_their_state(decoding: Decoding) -> None:
    frozen = np.flatnonzero(decoding.inputs["remaining"] == 0).tolist()
    answer = decoding.run()
    assert (answer.outputs["tokens"][frozen] == NO_TOKEN).all()
    before = take_rows(decoding.rungs.state_specs, decoding.state, frozen)
    after = take_rows(decoding.rungs.state_specs, answer.state, frozen)
    assert differing_values(after, before) == 0


def test_more_remaining_than_steps_samples_every_step(decoding: Decoding) -> None:
    answer = decoding.run({**decoding.inputs, "remaining": np.full(N, 1000)})
    assert (answer.outputs["tokens"] >= 0).all()


def test_a_row_of_nan_decodes_something_and_disturbs_no_other(decoding: Decoding) -> None:
    clean = decoding.run()
    state = {name: values.copy() for name, values in decoding.state.items()}
    for spec in decoding.rungs.state_specs:
        np.moveaxis(state[spec.name], spec.batch_axis, 0)[5] = np.nan
    poisoned = decoding.run({**decoding.inputs, "remaining": np.full(N, K)}, state)
    unharmed = decoding.run({**decoding.inputs, "remaining": np.full(N, K)})
    others = [row for row in range(N) if row != 5]
    assert differing_values(decoding.rows(poisoned, others), decoding.rows(unharmed, others)) == 0
    assert ((poisoned.outputs["tokens"][5] >= 0) & (poisoned.outputs["tokens"][5] < V)).all()
    assert differing_values(decoding.rows(decoding.run(), others), decoding.rows(clean, others)) == 0


@pytest.mark.parametrize("row", [0, 17, N - 1])
def test_a_row_decodes_alone_what_it_decodes_in_a_batch(decoding: Decoding, row: int) -> None:
    alone = decoding.run(
        {name: values[[row]] for name, values in decoding.inputs.items()},
        take_rows(decoding.rungs.state_specs, decoding.state, [row]),
    )
    assert differing_values(decoding.rows(alone, [0]), decoding.rows(decoding.run(), [row])) == 0


def test_equally_probable_tokens_rank_by_their_ids(decoding: Decoding) -> None:
    fresh = decoding.rungs.initial_state(N)
    greedy = {**decoding.inputs, "temperature": np.zeros(N, dtype=np.float32), "remaining": np.full(N, 1)}
    assert (decoding.run(greedy, fresh).outputs["tokens"][:, 0] == 0).all()


def draw(logits: list[float], uniform: float, temperature: float = 1.0, top_k: int = 4, top_p: float = 1.0) -> int:
    token = sample(
        torch.tensor([logits]),
        torch.tensor([uniform]),
        torch.tensor([temperature]),
        torch.tensor([top_k]),
        torch.tensor([top_p]),
    )
    return int(token)


LOGITS = np.log([0.25, 0.5, 0.15, 0.1]).tolist()


@pytest.mark.parametrize(
    ("uniform", "token"), [(0.0, 1), (0.49, 1), (0.51, 0), (0.74, 0), (0.76, 2), (0.89, 2), (0.91, 3)]
)
def test_uniforms_invert_the_cumulative_distribution_of_ranked_tokens(uniform: float, token: int) -> None:
    assert draw(LOGITS, uniform) == token


def test_top_p_keeps_the_token_that_reaches_it() -> None:
    assert {draw(LOGITS, u, top_p=0.51) for u in np.linspace(0, 0.999, 50)} == {0, 1}
    assert {draw(LOGITS, u, top_p=0.49) for u in np.linspace(0, 0.999, 50)} == {1}


def test_top_p_of_zero_still_draws_the_most_probable_token() -> None:
    assert draw(LOGITS, 0.99, top_p=0.0) == 1


def test_a_uniform_number_of_one_draws_the_last_eligible_token() -> None:
    assert draw(LOGITS, 1.0, top_k=2) == 0


def test_a_temperature_too_small_for_float32_is_greedy() -> None:
    assert draw(LOGITS, 0.99, temperature=1e-40) == 1
