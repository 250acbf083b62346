"""A character model of a user's own text file, whose length decides rows and epochs."""

import argparse
from pathlib import Path
from typing import Any

from training.data import own_text
from training.data.source import sha256_of

STEPS = 4_000  # of training, about what tinyshakespeare takes
MAX_ROWS, MAX_EPOCHS, MIN_EPOCHS = 32, 60, 2
BPTT_LEN = 128
PATIENCE = 5


def add_options(own: argparse._ArgumentGroup) -> None:
    """The options."""
    own.add_argument("--text", type=Path, metavar="FILE", help="text in UTF-8; the last tenth is held out")


def choose(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the file suggests; see `training.own.choose`."""
    if options.text is None:
        return {}
    text = own_text.read(options.text)
    rows, epochs = sizes(len(text))
    print(f"{options.text}: {len(text)} characters, {len(set(text))} distinct; {epochs} epochs in {rows} rows")
    return {
        "text": {"path": str(options.text), "sha256": sha256_of(options.text)},
        "rows": rows,
        "bptt_len": BPTT_LEN,
        "loop": {"epochs": epochs, "patience": PATIENCE},
    }


def sizes(num_characters: int) -> tuple[int, int]:
    """Rows of a batch and epochs, for as many steps as tinyshakespeare takes, within limits."""
    rows = max(1, min(MAX_ROWS, num_characters // (8 * BPTT_LEN)))
    steps_an_epoch = max(1, num_characters // (rows * BPTT_LEN))
    return rows, max(MIN_EPOCHS, min(MAX_EPOCHS, STEPS // steps_an_epoch))
