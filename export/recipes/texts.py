"""The ladder and the vocabulary of stages that read tokens."""

from tokenizers import Tokenizer

from export.stages import Sizes
from service.bundle.manifest import Bundle

# Each call costs a hop to the engine's thread, which is more than the graph itself where few rows wait: texts have
# every power of two, so that 13 words are 3 calls, not 6 (docs/log.md).
TEXT_SIZES: Sizes = (1, 2, 4, 8, 16, 32)


def num_words(bundle: Bundle) -> int:
    """V, how many words, or pieces of words, the tokenizer of a bundle knows."""
    return int(Tokenizer.from_file(str(bundle.file("tokenizer.json"))).get_vocab_size())
