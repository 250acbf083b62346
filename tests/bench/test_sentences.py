import numpy as np
import pytest

from bench.sentences import lognormal_lengths, sentences, word_ids


def test_drawn_lengths_have_the_mean_and_spread_of_the_real_ones() -> None:
    lengths = lognormal_lengths(20_000, np.random.default_rng(0))
    assert np.mean(lengths) == pytest.approx(19, rel=0.02)
    assert np.std(lengths) == pytest.approx(9, rel=0.05)
    assert min(lengths) >= 1


def test_texts_without_data_are_words_of_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNROLLED_DATA_DIR", raising=False)
    texts = sentences(50)
    assert sentences(50) == texts
    assert [len(ids) for ids in word_ids(texts)] == [len(text.split()) for text in texts]
