"""Settings for a classifier of a user's own labelled texts."""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from training.data import own_texts
from training.data.interval import plural
from training.data.own_numbers import NO_READING
from training.data.own_texts import OwnTexts
from training.data.source import sha256_of
from training.own.options import ENCODING, Choice, Options
from training.settings import SettingsError

FEW_TEXTS = 5_000


OPTIONS: Options = {
    "--csv": {
        "type": Path,
        "metavar": "FILE",
        "help": "CSV file with a header, a column of texts and a column of labels",
    },
    "--text": {"metavar": "COLUMN", "help": "column of texts; default: text"},
    "--label": {"metavar": "COLUMN", "help": "column of labels, with at least two different ones; default: label"},
    "--empty": {
        "choices": ("refuse", "skip"),
        "default": "refuse",
        "help": "rows without a text or a label: refuse the file, or leave them out; default: refuse",
    },
    **ENCODING,
}


def choose(options: argparse.Namespace) -> Choice:
    """Read the file and choose settings that suit it. See `training.own.registry.choose`."""
    text, label = options.text or "text", options.label or "label"
    if text == label:
        raise SettingsError(f"--text and --label both name the column {text!r}")
    found = own_texts.read(options.csv, text, label, options.encoding, options.empty)
    is_small = len(found.splits["train"]) < FEW_TEXTS
    settings = {
        "own": {
            "path": str(options.csv),
            "sha256": sha256_of(options.csv),
            "text": text,
            "label": label,
            "labels": found.labels,
            "encoding": options.encoding,
            "empty": options.empty,
        },
        "rows": 16 if is_small else 64,
        "loop": {"epochs": 20 if is_small else 8, "patience": 5, "ema_decay": 0.97 if is_small else 0.998},
    }
    return Choice(settings, _describe(options.csv, found))


def _describe(path: Path, found: OwnTexts) -> str:
    train, dev = found.splits["train"], found.splits["dev"]
    examples = [*train, *dev]
    counts = Counter(found.labels[example.label] for example in examples)
    skipped = f"; {plural(found.num_skipped, 'row')} without a text or a label left out" if found.num_skipped else ""
    different = f", {found.num_different} of them distinct" if found.num_different < len(examples) else ""
    return (
        f"{path}: {len(examples)} texts{different}; "
        + ", ".join(f"{name} {counts[name]}" for name in found.labels)
        + skipped
        + f"\n{len(train)} texts for training, {len(dev)} for choosing the best epoch and measuring"
        + "".join(f"\n{doubt}" for doubt in _doubts(found))
    )


def _doubts(found: OwnTexts) -> Iterator[str]:
    """Yield warnings about labels that may mean the same, or a missing label, and about texts with several labels."""
    labels = found.labels
    for label in labels:
        if label.casefold() in NO_READING:
            yield f"the label {label!r} is used like any other: if it means no label, remove its rows"
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(_meaning(label), []).append(label)
    for group in alike.values():
        if len(group) > 1:
            yield f"{' and '.join(map(repr, group))} are different labels: if they mean the same, write them alike"
    if found.num_ambiguous:
        texts = plural(found.num_ambiguous, "text")
        yield f"{texts} with more than one label: no classifier is right about all of their rows"


def _meaning(label: str) -> str:
    """Return what labels have in common that differ only in capitals, or in how a number is written."""
    try:
        return str(float(label))
    except ValueError:
        return label.casefold()
