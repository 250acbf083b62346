"""UD English EWT 2.16: sentences from weblogs, newsgroups, e-mails, reviews and answers, with tags for each word.

Taggers are evaluated on the universal tags (UPOS). The other columns serve as auxiliary targets. A multiword token
("don't") is read as its words ("do", "n't"). Empty nodes of the enhanced graph are skipped.

The test part is read only from UNROLLED_DATA_DIR.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data import conll, source
from training.data.source import BrokenLineError, DataSource, LocalFile

_ADDRESS = (
    "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb"
)
_LICENCE = "CC BY-SA 4.0"
_CITATION = "Silveira et al., A Gold Standard Dependency Corpus for English, LREC 2014; Universal Dependencies 2.16"

SOURCES = {
    "train": DataSource(
        name="UD English EWT 2.16, train",
        address=f"{_ADDRESS}/en_ewt-ud-train.conllu",
        sha256="3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b",
        licence=_LICENCE,
        citation=_CITATION,
    ),
    "dev": DataSource(
        name="UD English EWT 2.16, dev",
        address=f"{_ADDRESS}/en_ewt-ud-dev.conllu",
        sha256="531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6",
        licence=_LICENCE,
        citation=_CITATION,
    ),
}
LOCAL = {
    "train": LocalFile("tagging/en_ewt-ud-train.conllu.gz", SOURCES["train"].sha256),
    "dev": LocalFile("tagging/en_ewt-ud-dev.conllu.gz", SOURCES["dev"].sha256),
    "test": LocalFile("tagging/en_ewt-ud-test.conllu.gz", None),
}

UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X",
)  # fmt: skip
COLUMNS = 10


@dataclass(frozen=True)
class Word:
    """A word and its tags: universal and Penn part of speech, morphological features, relation to its head."""

    form: str
    upos: str
    xpos: str
    feats: str
    deprel: str


@dataclass(frozen=True)
class Sentence:
    """A sentence as it was written, its words, and whether it opens a document."""

    text: str
    words: tuple[Word, ...]
    opens_document: bool = False


def load(split: str) -> list[Sentence]:
    """Load the sentences of "train", "dev" or "test", in the order of their documents.

    Raises:
        MissingFileError: The split's file is missing.
        BrokenLineError: A line is not CoNLL-U, or a tag is not in UPOS.
    """
    path = source.find(LOCAL[split], SOURCES.get(split))
    return list(parse(source.read_text(path), path))


def parse(text: str, path: Path) -> Iterator[Sentence]:
    """Parse the sentences of a CoNLL-U text. Errors name `path`."""
    for block in conll.blocks(text, path, COLUMNS):
        # An id such as 7-8 is a multiword token, 7.1 an empty node.
        words = tuple(Word(row[1], row[3], row[4], row[5], row[7]) for row in block.rows if row[0].isdigit())
        unknown = [word.upos for word in words if word.upos not in UPOS]
        if unknown:
            raise BrokenLineError(path, block.line, f"the sentence that begins here has the tag {unknown[0]!r}")
        named = dict(comment.partition(" = ")[::2] for comment in block.comments)
        yield Sentence(named.get("text", ""), words, opens_document="newdoc id" in named)


def spans(sentence: Sentence) -> list[tuple[int, int]]:
    """Return the start and end of each word in the text of its sentence.

    Raises:
        ValueError: The words are not in the text in this order.
    """
    found, end = [], 0
    for word in sentence.words:
        start = sentence.text.index(word.form, end)
        end = start + len(word.form)
        found.append((start, end))
    return found
