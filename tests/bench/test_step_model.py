"""The model of all baselines: sequences that step together do what each would do alone."""

import numpy as np

from bench.baselines.step_model import StepModel

TOKENS = np.random.default_rng(0).integers(0, 65, (12, 3)).tolist()  # 12 steps of 3 sequences


def test_sequences_together_are_as_each_alone() -> None:
    model = StepModel()
    together = [model.step([1, 2, 3], tokens) for tokens in TOKENS]
    for column, sequence in enumerate((1, 2, 3)):
        alone = StepModel()
        assert [alone.step([sequence], [tokens[column]])[0] for tokens in TOKENS] == [row[column] for row in together]


def test_a_sequence_has_a_memory() -> None:
    model, forgetful = StepModel(), StepModel()
    remembered = [model.step([1], [tokens[0]])[0] for tokens in TOKENS]
    fresh = [forgetful.step([number], [tokens[0]])[0] for number, tokens in enumerate(TOKENS)]
    assert remembered != fresh
