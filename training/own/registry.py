"""The tasks that take a file of the user's own, by name.

For each of them a module of this package has `OPTIONS`, and `choose`, which gives the settings that the file suggests.
"""

import argparse

from training.own import forecasting, generation, options, sentiment
from training.own.options import NO_FILE, Choice

OWN = {"forecasting": forecasting, "generation": generation, "sentiment": sentiment}
GROUP = "a file of your own"


def add_options(task: str, parser: argparse.ArgumentParser) -> None:
    """Add the options of a task; none where it takes no file."""
    if task in OWN:
        group = parser.add_argument_group(GROUP, "Instead of the published data. It is exported and served alike.")
        for flag, arguments in OWN[task].OPTIONS.items():
            group.add_argument(flag, **arguments)


def typed(task: str, given: argparse.Namespace) -> list[str]:
    """The options of a task as they were typed; see `training.own.options.typed`."""
    return options.typed(OWN[task].OPTIONS, given) if task in OWN else []


def choose(task: str, given: argparse.Namespace) -> Choice:
    """What the file suggests, if there is one.

    Raises:
        DataError: The file cannot be used; names the line.
        SettingsError: Options that do not go together.
    """
    return OWN[task].choose(given) if task in OWN else NO_FILE
