"""Embeddings that start from word vectors, and learn more slowly than the rest so as to stay close to them."""

import torch
from tokenizers import Tokenizer
from torch import nn

from training.data import word_vectors

EMBEDDING = "embedding.weight"
DEVIATION = 0.3  # of all numbers of the vectors as a model starts with them


def start(model: nn.Module, tokenizer: Tokenizer) -> None:
    """Give the embedding of a model the vectors of the tokenizer's words."""
    weight = model.get_parameter(EMBEDDING)
    ids = tokenizer.get_vocab()
    vectors = word_vectors.load(sorted(ids, key=lambda word: ids[word]), weight.shape[1])
    vectors *= DEVIATION / vectors.std()
    with torch.no_grad():
        weight.copy_(torch.from_numpy(vectors))


def learning_rate_scale(name: str, rate: float) -> float:
    """Of a parameter of that name, where the embedding learns with `rate`."""
    return rate if name == EMBEDDING else 1.0
