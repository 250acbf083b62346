"""Multi30k: 29,000 English captions of photographs with their German and French translations (Elliott et al. 2016).

Task 1, raw text: one sentence per line, the same line in every language. The validation part is the dev split. The test
part is that of 2016 ("test_2016_flickr"). It is read only from UNROLLED_DATA_DIR, so that nothing is chosen on it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.data import source
from training.data.source import BrokenLineError, DataSource, LocalFile

Language = Literal["de", "fr"]

LICENCE = "captions for non-commercial research and education (Flickr30K's terms)"
CITATION = (
    "Elliott et al., Multi30K: Multilingual English-German Image Descriptions, 2016; "
    "Elliott et al., Findings of the Second Shared Task on Multimodal Machine Translation and Multilingual Image "
    "Description, 2017"
)
ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw"

FILES = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
# sha256 of what each file unpacks to.
CHECKSUMS = {
    "train.en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "train.de": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    "train.fr": "5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d",
    "val.en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "val.de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "val.fr": "5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc",
}


@dataclass(frozen=True)
class Pair:
    """An English caption and its translation."""

    english: str
    translation: str


def sources(language: Language) -> tuple[DataSource, ...]:
    """Return the sources of the training files for a language."""
    return tuple(_source(name) for name in ("train.en", f"train.{language}"))


def load(split: str, language: Language) -> list[Pair]:
    """Load the pairs of "train", "dev" or "test", in the order of the files.

    Raises:
        MissingFileError: The split's file is missing.
        BrokenLineError: A line is empty, or one language has more lines than the other.
    """
    _, english = _read(f"{FILES[split]}.en")
    path, translations = _read(f"{FILES[split]}.{language}")
    if len(english) != len(translations):
        line = min(len(english), len(translations)) + 1
        raise BrokenLineError(path, line, f"{len(translations)} lines for {len(english)} English ones")
    return list(map(Pair, english, translations))


def _source(name: str) -> DataSource:
    return DataSource(f"Multi30k, {name}", f"{ADDRESS}/{name}.gz", CHECKSUMS[name], LICENCE, CITATION)


def _read(name: str) -> tuple[Path, list[str]]:
    """Read a file. Returns its path and its lines."""
    local = LocalFile(f"translation/multi30k/{name}.gz", CHECKSUMS.get(name))
    path = source.find(local, _source(name) if name in CHECKSUMS else None)
    return path, parse(source.read_text(path), path)


def parse(text: str, path: Path) -> list[str]:
    """Parse the sentences of a file, one per line, stripped of surrounding blanks.

    Args:
        text: Content of the file.
        path: File to name in errors.

    Raises:
        BrokenLineError: A line is empty.
    """
    # Only line feeds end lines: captions may contain other characters that Python counts as line breaks.
    lines = text.removesuffix("\n").split("\n")
    sentences = [line.strip() for line in lines]
    for number, sentence in enumerate(sentences, start=1):
        if not sentence:
            raise BrokenLineError(path, number, "the sentence is empty")
    return sentences
