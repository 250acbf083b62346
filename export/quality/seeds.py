"""Adds figures over several seeds to an existing bundle: rewrites its manifest and card, keeps its graphs."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from export.bundle.figures import MAY_DIFFER, check_alike, of_checkpoint, over_seeds
from export.bundle.rewriting import rewritten
from export.errors import NotASeed, NotMeasured
from service.bundle.manifest import MANIFEST_FILE, Bundle
from training.checkpoint import FIGURES, Checkpoint, Figures, load, read_figures, training_of
from training.command_line import command_line
from training.data.source import is_own
from training.settings import overridden


def add_seeds(source: Bundle, others: Sequence[Path]) -> Bundle:
    """Add the mean and deviation of figures, over a bundle's own run and runs with other seeds, to the bundle.

    Args:
        source: The bundle. It is replaced.
        others: Checkpoints of the other runs, with measured figures.

    Returns:
        The new bundle.

    Raises:
        NotMeasured: The bundle or a run has no figures.
        NotASeed: A run is of another training or has other settings or data, two runs have the same figures, or there
            is no figure that all runs have.
    """
    _check_alike(source, [load(path) for path in others])
    runs = [_own(source), *(_measured(path) for path in others)]
    kept = [figure for figure in source.manifest.figures if figure.of != "seeds"]
    num_own = sum(figure.of == "checkpoint" for figure in kept)
    figures = (*kept[:num_own], *over_seeds(runs), *kept[num_own:])
    return rewritten(source, source.manifest.model_copy(update={"figures": figures}))


def _check_alike(source: Bundle, others: Sequence[Checkpoint]) -> None:
    """Check that the runs are of the bundle's training and have the same settings and data.

    A bundle stores no settings, only the command that trained it: what that sets must be the same. Runs that were
    trained elsewhere must be of the same command.
    """
    training = training_of(source.manifest.command) or source.manifest.command
    for each in others:
        if (each.training or each.command) != training:
            raise NotASeed(
                f"{each.path} was trained by {each.command!r}, and the bundle by {source.manifest.command!r}"
            )
        check_alike(each.path, each.settings, others[0].settings)
        _check_same_data(source, each)
        _check_set_alike(source, each)


def _check_same_data(source: Bundle, run: Checkpoint) -> None:
    """Check that a run learned from the bundle's file, if that is a user's own."""
    expected = {data.sha256 for data in source.manifest.data if is_own(data.address)}
    if expected != {data.sha256 for data in run.sources if data.is_own}:
        raise NotASeed(f"{run.path} learned from other data than the bundle")


def _check_set_alike(source: Bundle, run: Checkpoint) -> None:
    """Check that a run has the settings that the bundle's command sets, sets no others, and has the same options."""
    expected, options = _parsed(source.manifest.command)
    check_alike(run.path, run.settings, overridden(run.settings, expected))
    keys = {override.partition("=")[0] for override in expected}
    overrides, own_options = _parsed(run.command)
    for override in overrides:
        if override.partition("=")[0] not in keys and not override.startswith(MAY_DIFFER):
            raise NotASeed(f"{run.path} was trained with --set {override}, and the bundle without it")
    if own_options != options:
        raise NotASeed(f"{run.path} was trained by {run.command!r}, and the bundle by {source.manifest.command!r}")


def _parsed(command: str) -> tuple[list[str], list[str]]:
    """Return the settings that a command of a training here sets, and its other options, files by their names."""
    name = training_of(command)
    if not name:
        return [], []
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--output")
    for flag in ("--resume", "--overwrite"):
        parser.add_argument(flag, action="store_true")
    words = shlex.split(command)
    known, others = parser.parse_known_args(words[words.index(name) + 1 :])
    return known.set, [Path(word).name for word in others]


def _own(source: Bundle) -> Figures:
    found = of_checkpoint(source.manifest.figures)
    if not found:
        raise NotMeasured(f"{source.path / MANIFEST_FILE} has no figures of the checkpoint")
    return found


def _measured(path: Path) -> Figures:
    found = read_figures(path)
    if not found:
        raise NotMeasured(f"{path} has no {FIGURES}: `{command_line('training', 'evaluate', str(path))}` writes it")
    return found
