"""Files of a user's own, as options of the command line.

For each task that takes them a module of this package has `add_options`, and `choose`, which gives the settings that
the file suggests. Knows no task itself.
"""

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

TASKS = ("forecasting", "generation", "sentiment")
GROUP = "a file of your own"


def add_options(task: str, parser: argparse.ArgumentParser) -> None:
    """Add the options of a task; none where it takes no file."""
    if task in TASKS:
        import_module(f"training.own.{task}").add_options(
            parser.add_argument_group(GROUP, "Instead of the published data. It is exported and served alike.")
        )


def choose(task: str, options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the file suggests; none where there is no file.

    Raises:
        DataError: The file cannot be used; names the line.
        SettingsError: Options that do not go together.
    """
    if task not in TASKS:
        return {}
    chosen: dict[str, Any] = import_module(f"training.own.{task}").choose(options)
    return chosen


def count(text: str) -> int:
    """A number of readings on the command line.

    Raises:
        argparse.ArgumentTypeError: It is none, or less than one.
    """
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, not {text!r}")
    return int(text)


def typed(task: str, options: argparse.Namespace) -> list[str]:
    """The options as they were typed, for the card: of a file its name, and not where it lies."""
    parser = argparse.ArgumentParser()
    add_options(task, parser)
    words = []
    for action in parser._actions:
        value = getattr(options, action.dest, action.default)
        if value == action.default or action.dest == "help":
            continue
        for each in value if isinstance(value, list) else [value]:
            words += [action.option_strings[0], each.name if isinstance(each, Path) else str(each)]
    return words
