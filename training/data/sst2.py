"""SST-2: sentences from film reviews and their phrases, positive or negative (Socher et al. 2013), from GLUE.

The train part is GLUE's list of 67,349 phrases, not the trees' 77,201 that older papers trained on. Brackets are "(" in
the train part and "-lrb-" in dev and test; the tokenizer treats them alike.

GLUE's zip has train and dev; its test sentences have no labels. Labelled test sentences are read only from
UNROLLED_DATA_DIR. There every split is its own file, with the same two columns in another order.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data import source
from training.data.source import BrokenLineError, DataSource, LocalFile, MissingFileError

SOURCE = DataSource(
    name="SST-2",
    address="https://dl.fbaipublicfiles.com/glue/data/SST-2.zip",
    sha256="d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa",
    licence="none stated by the distributor (research use; cite the paper)",
    citation="Socher et al., Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank, EMNLP 2013",
)

LOCAL = {
    "train": LocalFile(
        "sentiment/sst2_train_phrases.tsv.gz", "dc4a10637729af71aeb11f573482b10031ba7ffe53159403599d06759e484e30"
    ),
    "dev": LocalFile("sentiment/sst2_dev.tsv", "95e23a00053d2596a991cd6d65735790f18c79549dbf91dfad70d8de61e3ce27"),
    "test": LocalFile("sentiment/sst2_test.tsv", None),
}

LABELS = {"0": 0, "1": 1}


@dataclass(frozen=True)
class Example:
    """A labelled phrase or sentence. In SST-2 the label 0 is negative, 1 positive."""

    sentence: str
    label: int


def load(split: str) -> list[Example]:
    """Load the examples of "train", "dev" or "test".

    Raises:
        MissingFileError: The split's file is missing.
        BrokenLineError: A line is not two columns of a label and a sentence.
    """
    local = source.find_local(LOCAL[split])
    if local is not None:
        return list(parse(source.read_text(local), local))
    if split == "test":
        raise MissingFileError(
            Path(LOCAL[split].path), "GLUE publishes no labels for the test sentences; put it into UNROLLED_DATA_DIR"
        )
    return _load_from_zip(source.download(SOURCE), f"SST-2/{split}.tsv")


def _load_from_zip(path: Path, member: str) -> list[Example]:
    with zipfile.ZipFile(path) as archive:
        return list(parse(source.decode(archive.read(member), path / member), path / member))


def parse(text: str, path: Path) -> Iterator[Example]:
    """Parse tab-separated text whose first line names the columns "label" and "sentence".

    Args:
        text: Content of the file.
        path: File to name in errors.
    """
    lines = enumerate(io.StringIO(text, newline=None), start=1)
    _, header = next(lines, (1, ""))
    columns = header.rstrip("\n").split("\t")
    if sorted(columns) != ["label", "sentence"]:
        raise BrokenLineError(path, 1, f"expected the columns label and sentence, not {columns}")
    for number, line in lines:
        cells = dict(zip(columns, line.rstrip("\n").split("\t"), strict=False))
        if len(cells) != 2 or line.count("\t") != 1:
            raise BrokenLineError(path, number, f"expected 2 columns, not {line.count(chr(9)) + 1}")
        if cells["label"] not in LABELS:
            raise BrokenLineError(path, number, f"label is {cells['label']!r}, expected 0 or 1")
        if not cells["sentence"].strip():
            raise BrokenLineError(path, number, "the sentence is empty")
        yield Example(cells["sentence"].strip(), LABELS[cells["label"]])
