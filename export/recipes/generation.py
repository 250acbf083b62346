"""Generation: a stage that reads tokens, and one that samples them."""

from pathlib import Path
from typing import cast

from tokenizers import Tokenizer
from torch import nn

from export.recipes.language import LanguageRecipe
from export.recipes.recipe import Stages, own_files
from service.bundle.manifest import Bundle, Manifest
from service.bundle.tasks import GenerationTask
from training.text.vocabulary import UNKNOWN

# What a text without a prompt starts after: all passages of the training text except the first follow a line break.
START = "\n"


class GenerationRecipe(LanguageRecipe):
    """A language model of characters."""

    pattern = "one to many"
    endpoint = "/generate"
    headline = ("nats_per_char", "nats_per_char_reset_256")

    def purpose(self, manifest: Manifest) -> str:
        manner = own_files(manifest) or "what it was trained on"
        return f"Continues a text in the manner of {manner}, character by character."

    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> GenerationTask:
        characters = _characters(cast(Path, tokenizer))
        return GenerationTask(characters=characters, start=START if START in characters else characters[0])

    def num_tokens(self, bundle: Bundle) -> int:
        return len(cast(GenerationTask, bundle.manifest.task).characters)


def _characters(tokenizer: Path) -> tuple[str, ...]:
    ids = Tokenizer.from_file(str(tokenizer)).get_vocab()
    return tuple(sorted((character for character in ids if character != UNKNOWN), key=lambda c: ids[c]))


RECIPE = GenerationRecipe()
