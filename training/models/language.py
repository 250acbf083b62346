"""Builds language models by the name of their cell. A new cell needs a case here."""

from typing import assert_never

from training.models.generation import GenerationModel, GenerationModelSettings
from training.models.mingru import MinGRUModel

LanguageModel = GenerationModel | MinGRUModel


def language_model(vocabulary_size: int, settings: GenerationModelSettings) -> LanguageModel:
    """Build a language model with random weights. Its state includes `pending_logits`.

    Args:
        vocabulary_size: V, the number of tokens.
        settings: Cell, sizes and regularisation.
    """
    match settings.cell:
        case "lstm":
            return GenerationModel(vocabulary_size, settings)
        case "mingru":
            return MinGRUModel(vocabulary_size, settings)
        case _:
            assert_never(settings.cell)
