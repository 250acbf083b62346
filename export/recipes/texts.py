"""The ladder and the vocabulary of stages that read tokens."""

from tokenizers import Tokenizer

from export.stages import Sizes
from service.bundle.manifest import Bundle

# Each call costs a hop to the engine's thread, which takes longer than the graph itself if there are few rows. With
# every power of two, 13 words are 3 calls, not 6 (docs/log.md).
TEXT_SIZES: Sizes = (1, 2, 4, 8, 16, 32)


def num_words(bundle: Bundle) -> int:
    """Return V, the number of words or subwords that a bundle's tokenizer knows."""
    return int(Tokenizer.from_file(str(bundle.file("tokenizer.json"))).get_vocab_size())
