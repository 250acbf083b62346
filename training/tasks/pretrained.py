"""Embeddings that start from pretrained word vectors, with their own learning rate to stay close to them."""

import torch
from tokenizers import Tokenizer
from torch import nn

from training.data import word_vectors

EMBEDDING = "embedding.weight"
DEVIATION = 0.3  # standard deviation to which the vectors are scaled, over all their components


def start(model: nn.Module, tokenizer: Tokenizer) -> None:
    """Copy the vectors of the tokenizer's words into a model's embedding.

    Raises:
        DataError: The vectors are not installed, or narrower than the embedding.
    """
    weight = model.get_parameter(EMBEDDING)
    ids = tokenizer.get_vocab()
    vectors = word_vectors.load(sorted(ids, key=lambda word: ids[word]), weight.shape[1])
    vectors *= DEVIATION / vectors.std()
    with torch.no_grad():
        weight.copy_(torch.from_numpy(vectors))


def learning_rate_scale(name: str, rate: float) -> float:
    """Return the learning-rate factor of the parameter `name`: `rate` for the embedding, 1 for all others."""
    return rate if name == EMBEDDING else 1.0
