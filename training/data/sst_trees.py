"""SST as trees: every phrase of 11,855 sentences from film reviews, with one of five labels (Socher et al. 2013).

0 is very negative, 2 neutral, 4 very positive. GLUE's SST-2 has the phrases that are not neutral, as negative or
positive. Models trained on the train trees may be evaluated on SST-2's dev and test sentences, which are from other
trees.
"""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data import source
from training.data.source import BrokenLineError, DataSource, LocalFile

SOURCE = DataSource(
    name="SST, trees",
    address="https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip",
    sha256="5c613a4f673fc74097d523a2c83f38e0cc462984d847b82c7aaf36b01cbbbfcc",
    licence="none stated by the distributor (research use; cite the paper)",
    citation="Socher et al., Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank, EMNLP 2013",
)
LOCAL = LocalFile(
    "sentiment/sst_trees_train.txt.gz", "e2f3f41b0b1e6d4dddc0effe3bfc2d27ed8928079aa9a03d652311614fc5feb7"
)

NUM_LABELS, NEUTRAL = 5, 2
_PART = re.compile(r"\((\d) ?|\)|([^\s()]+)")


@dataclass(frozen=True)
class Phrase:
    """The words under a node, its label, 0 to 4, and whether it is the root of its tree."""

    words: tuple[str, ...]
    label: int
    is_sentence: bool = False


def load() -> list[Phrase]:
    """Load the phrases of the training trees, whole sentences included, as often as they occur."""
    local = source.find_local(LOCAL)
    if local is not None:
        return list(parse(source.read_text(local), local))
    path, member = source.download(SOURCE), "trees/train.txt"
    with zipfile.ZipFile(path) as archive:
        return list(parse(source.decode(archive.read(member), path / member), path / member))


def parse(text: str, path: Path) -> Iterator[Phrase]:
    """Parse the phrases of a text with one tree per line, `(3 (2 the) (4 best))`. A node comes after its children.

    Raises:
        BrokenLineError: Brackets do not match, or a label is not 0 to 4. Names `path` and the line.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield from _phrases(line, path, number)


def _phrases(line: str, path: Path, number: int) -> Iterator[Phrase]:
    words: list[str] = []
    open_nodes: list[tuple[int, int]] = []  # label, and how many words stand before it
    for part in _PART.finditer(line):
        if part[1] is not None and int(part[1]) < NUM_LABELS:
            open_nodes.append((int(part[1]), len(words)))
        elif part[2] is not None and open_nodes:
            words.append(part[2])
        elif part[0] == ")" and open_nodes and open_nodes[-1][1] < len(words):
            label, start = open_nodes.pop()
            yield Phrase(tuple(words[start:]), label, is_sentence=not open_nodes)
        else:
            raise _no_tree(line, path, number)
    if open_nodes:
        raise _no_tree(line, path, number)


def _no_tree(line: str, path: Path, number: int) -> BrokenLineError:
    return BrokenLineError(path, number, f"not a tree of labels 0 to 4: {line[:60]!r}")
