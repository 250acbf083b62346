from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from tokenizers import Tokenizer, models, pre_tokenizers

from training.data import word_vectors
from training.data.source import ChecksumError, DataError, MissingFileError, verify

PIECES = {"▁film": 0, "▁good": 1, "▁d": 2, "ull": 3, "▁1": 4}
TABLE = np.arange(5 * 256, dtype=np.float16).reshape(5, 256) / 1000 + np.eye(5, 256, dtype=np.float16)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "wordllama"
    (directory / "weights").mkdir(parents=True)
    (directory / "tokenizers").mkdir()
    (directory / "__init__.py").write_text("raise ImportError('the package itself is not used')")
    tokenizer = Tokenizer(models.BPE({**{c: i + 5 for i, c in enumerate("▁filmgoodu1")}, **PIECES}, []))
    tokenizer.model = models.WordPiece(PIECES, unk_token="▁film", continuing_subword_prefix="")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(directory / word_vectors.TOKENIZER))
    safetensors.numpy.save_file({"embedding.weight": TABLE}, directory / word_vectors.TABLE)
    monkeypatch.syspath_prepend(tmp_path)
    return directory


def accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_vectors, "verify", lambda *_: None)


@pytest.mark.usefixtures("package")
def test_word_in_pieces_is_the_mean_of_their_standardised_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    accept(monkeypatch)
    table = TABLE.astype(np.float32)[:, :3]
    standard = (table - table.mean(axis=0)) / table.std(axis=0)
    words: Sequence[str] = ["good", "dull"]
    expected = [standard[1], (standard[2] + standard[3]) / 2]
    np.testing.assert_allclose(word_vectors.load(words, 3), expected, rtol=1e-5)


@pytest.mark.usefixtures("package")
def test_embeddings_wider_than_the_vectors_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    accept(monkeypatch)
    with pytest.raises(DataError, match="word vectors have 256 numbers: embeddings of 300"):
        word_vectors.load(["good"], 300)


@pytest.mark.usefixtures("package")
def test_whole_words_are_pieces_of_letters_that_begin_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    accept(monkeypatch)
    assert word_vectors.whole_words() == {"film", "good", "d"}


@pytest.mark.usefixtures("package")
def test_table_of_another_version_is_refused() -> None:
    with pytest.raises(ChecksumError):
        word_vectors.load(["good"], 3)
    assert word_vectors.verify is verify


def test_package_that_is_not_installed_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_vectors, "find_spec", lambda _: None)
    with pytest.raises(MissingFileError, match="pip install wordllama"):
        word_vectors.whole_words()
