"""The tasks that can train on a user's own file, by name.

Each has a module in this package with `OPTIONS`, of which the first names the file, and `choose`, which reads it and
returns the settings that suit it.
"""

import argparse
import re
from pathlib import Path

from training.command_line import command_line
from training.own import forecasting, generation, options, sentiment
from training.own.options import NO_FILE, Choice
from training.settings import SettingsError
from training.tasks.registry import trainings

OWN = {"forecasting": forecasting, "generation": generation, "sentiment": sentiment}
GROUP = "a file of your own"
MAX_NAME = 50  # characters of a suggested bundle name; 63 are allowed


def add_options(task: str, parser: argparse.ArgumentParser) -> None:
    """Add the options of a task to its parser, if it takes a file."""
    if task in OWN:
        group = parser.add_argument_group(
            GROUP, "Train on your own file instead of the published data. Export and serve the model in the same way."
        )
        for flag, arguments in OWN[task].OPTIONS.items():
            group.add_argument(flag, **arguments)


def typed(task: str, given: argparse.Namespace) -> list[str]:
    """Return the options of a task as they were typed. See `training.own.options.typed`."""
    return options.typed(OWN[task].OPTIONS, given) if task in OWN else []


def run_directory(training: str, is_own: bool) -> Path:
    """Return the default directory of a training's run. `is_own` says that it learns from the user's own file."""
    return Path("runs") / (f"own-{training}" if is_own else training)


def choose(task: str, given: argparse.Namespace) -> Choice:
    """Read the user's file, if one is given, and choose settings that suit it.

    Raises:
        DataError: The file cannot be used. Names the line.
        SettingsError: Options do not go together.
    """
    if task not in OWN:
        return NO_FILE
    own = OWN[task]
    flag = next(iter(own.OPTIONS))
    if getattr(given, flag.removeprefix("--")) is not None:
        choice: Choice = own.choose(given)
        return choice
    if words := typed(task, given):
        raise SettingsError(f"{words[0]} needs {flag} FILE")
    return NO_FILE


def next_commands(best: Path) -> str:
    """Return the commands that export and serve a checkpoint, under a name that no published training has, and a hint.

    Args:
        best: The checkpoint, RUN/best.
    """
    name = re.sub("[^a-z0-9._-]+", "-", best.parent.name.lower()).strip("._-")[:MAX_NAME]
    name = f"own-{name}".strip("-") if name in {"", *trainings()} else name
    export = command_line("export", str(best), "--name", name)
    newer = "# for a newer version of a bundle, --name is that bundle's"
    return f"    {export}\n    UNROLLED_BUNDLES={name}:latest make serve\n    {newer}"
