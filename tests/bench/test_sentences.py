"""Texts as long as SST's sentences."""

import numpy as np
import pytest

from bench.sentences import NUM_OF_LENGTH, drawn_lengths, sentences, word_ids


def test_drawn_lengths_are_those_of_sst() -> None:
    assert sum(NUM_OF_LENGTH) == 8544
    lengths = np.array(drawn_lengths(64 * 1000, np.random.default_rng(0)))
    assert (lengths.min(), lengths.max()) == (2, 52)
    assert lengths.mean() == pytest.approx(19.14, rel=0.01)
    assert lengths.std() == pytest.approx(9.31, rel=0.01)
    batches = lengths.reshape(-1, 64)
    assert batches.mean() / batches.max(axis=1).mean() == pytest.approx(0.44, abs=0.01)


def test_texts_are_words_of_the_vocabulary() -> None:
    texts = sentences(50)
    assert sentences(50) == texts
    assert [len(ids) for ids in word_ids(texts)] == [len(text.split()) for text in texts]
