"""Options of the command line that tell of a file of the user's own, as data: by flag, what argparse takes for it."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

Options = Mapping[str, Mapping[str, Any]]


class Choice(NamedTuple):
    """What a file suggests.

    Attributes:
        settings: Nested values over the task's own; none where there is no file.
        summary: What of the file the user should know; empty where there is none.
    """

    settings: dict[str, Any]
    summary: str


NO_FILE = Choice({}, "")


def typed(known: Options, options: argparse.Namespace) -> list[str]:
    """The options as they were typed, for the card: of a file its name, and not where it lies."""
    words = []
    for flag, arguments in known.items():
        value = getattr(options, flag.removeprefix("--"))
        if value == arguments.get("default"):
            continue
        for each in value if isinstance(value, list) else [value]:
            words += [flag, each.name if isinstance(each, Path) else str(each)]
    return words
