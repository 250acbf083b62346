"""Language models by their cell."""

from training.models.generation import GenerationModel, GenerationModelSettings
from training.models.mingru import MinGRUModel

LanguageModel = GenerationModel | MinGRUModel


def language_model(vocabulary_size: int, settings: GenerationModelSettings) -> LanguageModel:
    """A freshly initialised model of what follows, token by token, with `pending_logits` in its state.

    Args:
        vocabulary_size: V, the number of tokens.
        settings: Which cell, sizes and regularisation.
    """
    match settings.cell:
        case "lstm":
            return GenerationModel(vocabulary_size, settings)
        case "mingru":
            return MinGRUModel(vocabulary_size, settings)
