"""Command-line options for a user's own file, as data: argparse's arguments by flag."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from training.arguments import encoding, option
from training.data.own_characters import UTF_8

Options = Mapping[str, Mapping[str, Any]]


class Choice(NamedTuple):
    """Settings that suit a file.

    Attributes:
        settings: Nested values that override those of the task's settings file. Empty without a file.
        summary: A description of the file for the user. Empty without a file.
    """

    settings: dict[str, Any]
    summary: str


ENCODING: Options = {
    "--encoding": {
        "type": encoding,
        "default": UTF_8,
        "metavar": "NAME",
        "help": f"encoding of the file, such as windows-1252; default: {UTF_8}, or what a byte-order mark says",
    }
}
NO_FILE = Choice({}, "")


def typed(known: Options, options: argparse.Namespace) -> list[str]:
    """Return the options as they were typed, for the model card. Only the file's name is kept of a path."""
    words = []
    for flag, arguments in known.items():
        value = getattr(options, flag.removeprefix("--"))
        if value == arguments.get("default"):
            continue
        for each in value if isinstance(value, list) else [value]:
            words += option(flag, each.name if isinstance(each, Path) else str(each))
    return words
