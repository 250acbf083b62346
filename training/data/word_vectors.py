"""Vectors of 32,000 subwords, distilled from large language models (WordLlama, Miller 2024, MIT licence).

They come with the Python package `wordllama`, of which only two files are used: a table and a tokenizer. Their first
64, 128 or 256 numbers are usable as vectors by themselves (Kusupati et al. 2022, arXiv:2205.13147). The vector of a
word of several subwords is their mean.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.data.source import DataError, DataSource, MissingFileError, verify

SOURCE = DataSource(
    name="WordLlama l2_supercat, 256 dimensions",
    address="https://pypi.org/project/wordllama/0.4.0.post1/",
    sha256="64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
    licence="MIT",
    citation="D. Lee Miller, WordLlama: Recycled Token Embeddings from Large Language Models, 2024",
)
TABLE, TOKENIZER = "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"
TOKENIZER_SHA256 = "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68"
WORD_BEGINS = "▁"  # the tokenizer's symbol for the blank before a word


def load(words: Sequence[str], size: int) -> NDArray[np.float32]:
    """Load the vectors of words, float32 (words, size). Each dimension has mean 0 and deviation 1 over all subwords.

    Raises:
        MissingFileError: The package is not installed.
        ChecksumError: It is another version's table.
        DataError: The vectors are shorter than `size`.
    """
    table = safetensors.numpy.load_file(_file(TABLE, SOURCE.sha256))["embedding.weight"].astype(np.float32)
    if size > table.shape[1]:
        raise DataError(f"word vectors have {table.shape[1]} numbers: embeddings of {size} cannot start from them")
    table = table[:, :size]
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    encodings = _tokenizer().encode_batch(list(words), add_special_tokens=False)
    return np.stack([table[encoding.ids].mean(axis=0) for encoding in encodings])


def whole_words() -> set[str]:
    """Return frequent words of Latin letters, in lower case: those that are a single subword."""
    pieces = (piece.removeprefix(WORD_BEGINS) for piece in _tokenizer().get_vocab() if piece.startswith(WORD_BEGINS))
    return {piece.lower() for piece in pieces if piece.isascii() and piece.isalpha()}


def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(_file(TOKENIZER, TOKENIZER_SHA256)))


def _file(name: str, sha256: str) -> Path:
    """Find and verify a file of the package without importing it, which would need its dependencies."""
    package = find_spec("wordllama")
    if package is None or not package.submodule_search_locations:
        raise MissingFileError(Path("wordllama") / name, "install it: pip install wordllama==0.4.0.post1")
    path = Path(package.submodule_search_locations[0]) / name
    if not path.is_file():
        raise MissingFileError(path, "another version of wordllama is installed; install 0.4.0.post1")
    verify(path, sha256, "another version of wordllama is installed; install 0.4.0.post1")
    return path
