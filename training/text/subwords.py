"""The tokenizer for translation: byte-pair encoding (BPE) of words, and BPE dropout.

One tokenizer for both languages, saved as tokenizer.json of Hugging Face's `tokenizers`. It keeps case, so texts are
lower-cased beforehand where that is wanted. The first piece of a word begins with "▁", so that joining pieces restores
the text.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from training.text.vocabulary import words_of

END, START, UNKNOWN = "[END]", "[START]", "[UNK]"
END_ID, START_ID, UNKNOWN_ID = range(3)
BLANK = "▁"
VARIANTS = 8  # segmentations of a word

Ids = NDArray[np.int64]

# One form for characters with several variants.
FOLDING = {
    "\u2018": "'",  # single quotes
    "\u2019": "'",
    "\u201a": "'",
    "`": "'",
    "\u00b4": "'",
    "\u201c": '"',  # double quotes
    "\u201d": '"',
    "\u201e": '"',
    "\u00ab": '"',
    "\u00bb": '"',
    "\u2010": "-",  # hyphens and dashes
    "\u2011": "-",
    "\u2012": "-",
    "\u2013": "-",
    "\u2014": "-",
}

_CLITIC = r"'(?:s|t|re|ve|ll|d|m)(?!\p{L})"  # the boy 's
_WORD = rf"{BLANK}?[\p{{L}}\p{{M}}]+"
# The first alternative that matches at a position is a word. No piece crosses a word's end.
WORD_PATTERN = (
    rf"{_CLITIC}"
    rf"|{_WORD}(?!{_CLITIC})'(?=\p{{L}})"  # l' homme
    rf"|{_WORD}|{BLANK}?\p{{N}}+|{BLANK}?[^\p{{L}}\p{{N}}{BLANK}]|{BLANK}"
)


def subword_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Train a tokenizer of at most `size` pieces (Sennrich et al. 2016, arXiv:1508.07909).

    Args:
        texts: Texts of both languages, in the case that the model reads.
        size: Number of pieces, including [END] 0, [START] 1, [UNK] 2, and every character of the texts.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            *(normalizers.Replace(written, folded) for written, folded in FOLDING.items()),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement=BLANK, prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement=BLANK, prepend_scheme="always", split=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, special_tokens=[END, START, UNKNOWN], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


class Merges:
    """Byte-pair encoding of one word, with dropout (Provilkov et al. 2020, arXiv:1910.13267, algorithm 1).

    Args:
        tokenizer: A `subword_tokenizer`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        model = json.loads(tokenizer.to_str())["model"]
        self._ids: dict[str, int] = model["vocab"]
        self._ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}

    def encode(self, word: str, dropout: float, rng: np.random.Generator) -> list[int]:
        """Encode a word as piece ids.

        Args:
            word: A word, as `words_of` splits them.
            dropout: Probability of skipping a possible merge.
            rng: Random generator.
        """
        pieces = list(word)
        while len(pieces) > 1:
            pairs = list(itertools.pairwise(pieces))
            kept = rng.random(len(pairs)) >= dropout if dropout else np.ones(len(pairs), dtype=bool)
            ranked = [(self._ranks[pair], i) for i, pair in enumerate(pairs) if kept[i] and pair in self._ranks]
            if not ranked:
                break
            _, i = min(ranked)
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
        return [self._ids.get(piece, UNKNOWN_ID) for piece in pieces]


class _Ragged(NamedTuple):
    """Sequences of different lengths, concatenated."""

    values: Ids
    starts: Ids

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> "_Ragged":
        lengths = [len(sequence) for sequence in sequences]
        values = np.fromiter((value for sequence in sequences for value in sequence), np.int64, sum(lengths))
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]))

    @property
    def lengths(self) -> Ids:
        return np.diff(self.starts)

    def joined(self, chosen: Ids) -> Ids:
        """Concatenate the chosen sequences."""
        lengths = self.lengths[chosen]
        ends = np.cumsum(lengths)
        offsets = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        return np.asarray(self.values[np.repeat(self.starts[chosen], lengths) + offsets])


class SubwordSampler:
    """Texts whose words are segmented into different pieces in each epoch.

    Every distinct word is segmented VARIANTS times beforehand, and each draw picks one of these for each word, so that
    an epoch costs no more than indexing. The first segmentation is without dropout.

    Args:
        tokenizer: A `subword_tokenizer`.
        texts: The texts, in the case that the model reads.
        dropout: See `Merges.encode`. At 0 every draw is the segmentation without dropout.
        rng: Draws the segmentations.
    """

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str], dropout: float, rng: np.random.Generator) -> None:
        self._variants = VARIANTS if dropout else 1
        numbers: dict[str, int] = {}
        texts_in_words = [
            [numbers.setdefault(word, len(numbers)) for word in words_of(tokenizer, text)] for text in texts
        ]
        merges = Merges(tokenizer)
        segmented = [
            merges.encode(word, dropout if variant else 0.0, rng)
            for word in numbers
            for variant in range(self._variants)
        ]
        self._pieces = _Ragged.of(segmented)
        self._words = _Ragged.of(texts_in_words)

    def draw(self, rng: np.random.Generator) -> list[Ids]:
        """Draw the piece ids of each text, int64 (T,)."""
        variant = rng.integers(self._variants, size=len(self._words.values))
        chosen = self._words.values * self._variants + variant
        ends = np.concatenate([[0], np.cumsum(self._pieces.lengths[chosen])])[self._words.starts]
        return np.split(self._pieces.joined(chosen), ends[1:-1])
