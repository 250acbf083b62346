"""Labelled texts of a user's own: a CSV file with a column of texts and one of labels, any number of them."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.own_csv import OwnCsv
from training.data.source import BrokenLineError, DataError
from training.data.sst2 import Example

DEV_SHARE = 0.1
SPLIT_SEED = 0  # not the run's: every run of a file is measured on the same texts


@dataclass(frozen=True)
class OwnTexts:
    """Labelled texts.

    Args:
        labels: Names, in the order of their numbers.
        splits: "train" and "dev": a tenth of the texts of each label, at least one.
    """

    labels: tuple[str, ...]
    splits: dict[str, list[Example]]


def read(path: Path, text: str, label: str) -> OwnTexts:
    """Read and split a file.

    Args:
        path: See `OwnCsv`.
        text: Name of the column of texts.
        label: Name of the column of labels.

    Raises:
        DataError: A line cannot be used, or a label has only one text; names the line.
    """
    file = OwnCsv(path)
    at_text, at_label = file.column(text), file.column(label)
    found: list[tuple[str, str]] = []
    lines: dict[str, int] = {}
    for line, cells in file.rows():
        if not cells[at_text] or not cells[at_label]:
            raise BrokenLineError(path, line, f"the {'text' if not cells[at_text] else 'label'} is empty")
        lines.setdefault(cells[at_label], line)
        found.append((cells[at_text], cells[at_label]))
    counts = Counter(name for _, name in found)
    if len(counts) < 2:
        raise DataError(f"{path}: {len(counts)} labels in column {label!r}; there must be two or more")
    rare = min(counts, key=lambda name: (counts[name], lines[name]))
    if counts[rare] < 2:
        raise BrokenLineError(path, lines[rare], f"the only text of label {rare!r}: one to train on, one to choose by")
    labels = tuple(sorted(counts))
    return OwnTexts(labels, _split([Example(sentence, labels.index(name)) for sentence, name in found], len(labels)))


def _split(examples: list[Example], num_labels: int) -> dict[str, list[Example]]:
    order = np.random.default_rng(SPLIT_SEED).permutation(len(examples))
    shuffled = [examples[i] for i in order]
    splits: dict[str, list[Example]] = {"train": [], "dev": []}
    for label in range(num_labels):
        own = [example for example in shuffled if example.label == label]
        border = max(1, round(DEV_SHARE * len(own)))
        splits["dev"] += own[:border]
        splits["train"] += own[border:]
    return splits
