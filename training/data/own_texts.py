"""A user's own CSV file with a column of texts and a column of labels."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from training.data.own_characters import UTF_8
from training.data.own_csv import OwnCsv
from training.data.source import BrokenLineError, DataError
from training.data.sst2 import Example
from training.text.vocabulary import word_tokenizer, words_of

DEV_SHARE = 0.1
SPLIT_SEED = 0  # not the run's seed, so that all runs on a file are evaluated on the same texts


@dataclass(frozen=True)
class OwnTexts:
    """Labelled texts.

    Args:
        labels: Names of the labels, in the order of their numbers.
        splits: "train" and "dev". Dev has a tenth of the distinct texts of each label, at least one. All rows with the
            same text are in the same split. Texts are the same if they have the same words after tokenization.
        num_different: Number of distinct texts in both splits.
        num_ambiguous: Number of those that have more than one label.
        num_skipped: Number of rows that were left out because they have no text or no label.
    """

    labels: tuple[str, ...]
    splits: dict[str, list[Example]]
    num_different: int
    num_ambiguous: int
    num_skipped: int


Empty = Literal["refuse", "skip"]


class _Row(NamedTuple):
    line: int
    text: str
    label: str


def read(path: Path, text: str, label: str, encoding: str = UTF_8, empty: Empty = "refuse") -> OwnTexts:
    """Read and split a file.

    Args:
        path: See `OwnCsv`.
        text: Name of the column of texts.
        label: Name of the column of labels.
        encoding: Encoding of the text, unless it has a byte order mark.
        empty: How to treat rows without a text or a label: "refuse" the file, or "skip" them.

    Raises:
        DataError: A line cannot be used, or a label has too few texts for both splits. Names the line.
    """
    all_rows = list(_rows(OwnCsv(path, encoding), text, label))
    rows = [row for row in all_rows if _check(row, path, empty)]
    first_lines: dict[str, int] = {}
    for row in rows:
        first_lines.setdefault(row.label, row.line)
    if len(first_lines) < 2:
        found = f"every label in column {label!r} is {min(first_lines)!r}" if first_lines else "there are no rows"
        raise DataError(f"{path}: {found}; a classifier needs texts with at least two labels")
    labels = tuple(sorted(first_lines))
    alike = _alike([row.text for row in rows])
    splits = _split([Example(row.text, labels.index(row.label)) for row in rows], alike, len(labels))
    trained = {labels[example.label] for example in splits["train"]}
    for name, line in first_lines.items():
        if name not in trained:
            raise BrokenLineError(
                path,
                line,
                f"label {name!r} has too few different texts; training needs one and choosing the epoch another: add "
                "some, or remove the label",
            )
    num_labels = Counter(same for same, _ in {(same, row.label) for same, row in zip(alike, rows, strict=True)})
    num_ambiguous = sum(number > 1 for number in num_labels.values())
    return OwnTexts(labels, splits, len(num_labels), num_ambiguous, len(all_rows) - len(rows))


def _rows(file: OwnCsv, text: str, label: str) -> Iterator[_Row]:
    at_text, at_label = file.column(text), file.column(label)
    for line, cells in file.rows():
        yield _Row(line, cells[at_text], cells[at_label])


def _check(row: _Row, path: Path, empty: Empty) -> bool:
    """Return whether a row has a text and a label.

    Raises:
        BrokenLineError: It does not, and such rows are refused.
    """
    if not row.text or not row.label:
        mistake = f"the {'label' if row.text else 'text'} is empty: fill it in, remove the row"
    elif not _has_words(row.text):
        mistake = f"the text {row.text!r} has no word: remove the row"
    else:
        return True
    if empty == "refuse":
        raise BrokenLineError(path, row.line, f"{mistake}, or leave out all such rows with --empty skip")
    return False


def _has_words(text: str) -> bool:
    """Whether the tokenizer finds a word in a text. Zero-width blanks and the like are not words."""
    return any(map(str.isalnum, text)) or bool(words_of(word_tokenizer(()), text))


def _alike(texts: list[str]) -> list[str]:
    """Normalise texts, so that those that differ only in case, accents, quotes or blanks are equal."""
    tokenizer = word_tokenizer(())
    return [" ".join(words_of(tokenizer, text)) for text in texts]


def _split(examples: list[Example], alike: list[str], num_labels: int) -> dict[str, list[Example]]:
    """Hold out texts of each label, and all texts equal to them by `alike`."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(examples))
    held_out: set[str] = set()
    for label in range(num_labels):
        texts = list(dict.fromkeys(alike[i] for i in order if examples[i].label == label))
        held_out.update(texts[: max(1, round(DEV_SHARE * len(texts)))])
    by_label = sorted(order, key=lambda i: examples[i].label)
    return {
        "train": [examples[i] for i in by_label if alike[i] not in held_out],
        "dev": [examples[i] for i in by_label if alike[i] in held_out],
    }
