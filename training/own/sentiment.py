"""A classifier of a user's own labelled texts."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from training.data import own_texts
from training.data.source import sha256_of
from training.own import typed
from training.settings import SettingsError

FEW_TEXTS = 5_000


def add_options(own: argparse._ArgumentGroup) -> None:
    """The options."""
    own.add_argument("--csv", type=Path, metavar="FILE", help="CSV with a header, a column of texts and one of labels")
    own.add_argument("--text", metavar="COLUMN", help="column of texts; default: text")
    own.add_argument("--label", metavar="COLUMN", help="column of labels, two or more of them; default: label")


def choose(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the file suggests; see `training.own.choose`."""
    if options.csv is None:
        if words := typed("sentiment", options):
            raise SettingsError(f"{words[0]} is about the file of --csv")
        return {}
    text, label = options.text or "text", options.label or "label"
    found = own_texts.read(options.csv, text, label)
    train, dev = found.splits["train"], found.splits["dev"]
    counts = Counter(found.labels[example.label] for example in [*train, *dev])
    print(
        f"{options.csv}: {len(train) + len(dev)} texts; "
        + ", ".join(f"{name} {counts[name]}" for name in found.labels)
        + f"\n{len(train)} texts to train on, {len(dev)} to choose the best epoch and to measure"
    )
    is_small = len(train) < FEW_TEXTS
    return {
        "own": {
            "path": str(options.csv),
            "sha256": sha256_of(options.csv),
            "text": text,
            "label": label,
            "labels": found.labels,
        },
        "rows": 16 if is_small else 64,
        "loop": {"epochs": 20 if is_small else 8, "patience": 5, "ema_decay": 0.97 if is_small else 0.998},
    }
