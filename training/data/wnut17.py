"""WNUT17: posts and comments with new and rare entities of six types, as BIO tags (Derczynski et al. 2017).

B-person begins a person, I-person continues it, O is outside of entities. The test part is read only from
UNROLLED_DATA_DIR.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data import conll, source
from training.data.source import BrokenLineError, DataSource, LocalFile

_ADDRESS = "https://raw.githubusercontent.com/leondz/emerging_entities_17/e52a2d2a71ac1a051ca2d532eef28653c5c02603"
_LICENCE = "CC BY 4.0"
_CITATION = "Derczynski et al., Results of the WNUT2017 Shared Task on Novel and Emerging Entity Recognition, 2017"

SOURCES = {
    "train": DataSource(
        name="WNUT17, train",
        address=f"{_ADDRESS}/wnut17train.conll",
        sha256="731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",
        licence=_LICENCE,
        citation=_CITATION,
    ),
    "dev": DataSource(
        name="WNUT17, dev",
        address=f"{_ADDRESS}/emerging.dev.conll",
        sha256="e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",
        licence=_LICENCE,
        citation=_CITATION,
    ),
}
LOCAL = {
    "train": LocalFile("tagging/wnut17_train.conll.gz", SOURCES["train"].sha256),
    "dev": LocalFile("tagging/wnut17_dev.conll.gz", SOURCES["dev"].sha256),
    "test": LocalFile("tagging/wnut17_test.conll.gz", None),
}

TYPES = ("corporation", "creative-work", "group", "location", "person", "product")
TAGS = ("O", *(f"{position}-{kind}" for kind in TYPES for position in "BI"))


@dataclass(frozen=True)
class Sentence:
    """A post's tokens and the tag of each."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


def load(split: str) -> list[Sentence]:
    """Load the sentences of "train", "dev" or "test".

    Raises:
        MissingFileError: The split's file is missing.
        BrokenLineError: A line is not a token and a tag.
    """
    path = source.find(LOCAL[split], SOURCES.get(split))
    return list(parse(source.read_text(path), path))


def parse(text: str, path: Path) -> Iterator[Sentence]:
    """Parse the sentences of a table of two columns, token and tag. Errors name `path`."""
    for block in conll.blocks(text, path, 2):
        unknown = [tag for _, tag in block.rows if tag not in TAGS]
        if unknown:
            raise BrokenLineError(path, block.line, f"the sentence that begins here has the tag {unknown[0]!r}")
        yield Sentence(tuple(token for token, _ in block.rows), tuple(tag for _, tag in block.rows))
