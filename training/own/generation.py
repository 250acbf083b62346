"""Settings for a character model of a user's own text file: rows and epochs depend on its length."""

import argparse
from pathlib import Path

from training.data import own_text
from training.data.source import sha256_of
from training.own.options import ENCODING, Choice, Options
from training.text.characters import count_characters

STEPS = 4_000  # optimizer steps, about as many as for tinyshakespeare
MAX_ROWS, MAX_EPOCHS, MIN_EPOCHS = 32, 60, 2
BPTT_LEN = 128
PATIENCE = 5


OPTIONS: Options = {
    "--text": {"type": Path, "metavar": "FILE", "help": "text file to learn from; its last tenth is held out"},
    **ENCODING,
}


def choose(options: argparse.Namespace) -> Choice:
    """Read the file and choose settings that suit it. See `training.own.registry.choose`."""
    text = own_text.read(options.text, encoding=options.encoding)
    rows, epochs = sizes(len(text))
    settings = {
        "text": {"path": str(options.text), "sha256": sha256_of(options.text), "encoding": options.encoding},
        "rows": rows,
        "bptt_len": BPTT_LEN,
        "loop": {"epochs": epochs, "patience": PATIENCE},
    }
    return Choice(settings, f"{options.text}: {len(text)} characters, {len(count_characters(text))} distinct")


def sizes(num_characters: int) -> tuple[int, int]:
    """Return the rows of a batch and the number of epochs, for about STEPS optimizer steps, within limits."""
    rows = max(1, min(MAX_ROWS, num_characters // (8 * BPTT_LEN)))
    steps_an_epoch = max(1, num_characters // (rows * BPTT_LEN))
    return rows, max(MIN_EPOCHS, min(MAX_EPOCHS, STEPS // steps_an_epoch))
