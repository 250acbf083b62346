"""The tasks that can train on a user's own file, by name.

Each has a module in this package with `OPTIONS`, and `choose`, which returns the settings that suit the file.
"""

import argparse

from training.own import forecasting, generation, options, sentiment
from training.own.options import NO_FILE, Choice

OWN = {"forecasting": forecasting, "generation": generation, "sentiment": sentiment}
GROUP = "a file of your own"


def add_options(task: str, parser: argparse.ArgumentParser) -> None:
    """Add the options of a task to its parser, if it takes a file."""
    if task in OWN:
        group = parser.add_argument_group(GROUP, "Instead of the published data. It is exported and served alike.")
        for flag, arguments in OWN[task].OPTIONS.items():
            group.add_argument(flag, **arguments)


def typed(task: str, given: argparse.Namespace) -> list[str]:
    """The options of a task as they were typed. See `training.own.options.typed`."""
    return options.typed(OWN[task].OPTIONS, given) if task in OWN else []


def choose(task: str, given: argparse.Namespace) -> Choice:
    """Read the user's file, if one is given, and choose settings that suit it.

    Raises:
        DataError: The file cannot be used. Names the line.
        SettingsError: Options do not go together.
    """
    return OWN[task].choose(given) if task in OWN else NO_FILE
