"""Adds figures over several seeds to an existing bundle: rewrites its manifest and card, keeps its graphs."""

from collections.abc import Sequence
from pathlib import Path

from export.bundle.figures import check_alike, of_checkpoint, over_seeds
from export.bundle.rewriting import rewritten
from export.errors import NotASeed, NotMeasured
from service.bundle.manifest import MANIFEST_FILE, Bundle
from training.checkpoint import FIGURES, Checkpoint, Figures, load, read_figures, training_of
from training.command_line import command_line


def add_seeds(source: Bundle, others: Sequence[Path]) -> Bundle:
    """Add the mean and deviation of figures, over a bundle's own run and runs with other seeds, to the bundle.

    Args:
        source: The bundle. It is replaced.
        others: Checkpoints of the other runs, with measured figures.

    Returns:
        The new bundle.

    Raises:
        NotMeasured: The bundle or a run has no figures.
        NotASeed: A run is of another training or has other settings, two runs have the same figures, or there is no
            figure that all runs have.
    """
    _check_alike(source, [load(path) for path in others])
    runs = [_own(source), *(_measured(path) for path in others)]
    kept = [figure for figure in source.manifest.figures if figure.of != "seeds"]
    num_own = sum(figure.of == "checkpoint" for figure in kept)
    figures = (*kept[:num_own], *over_seeds(runs), *kept[num_own:])
    return rewritten(source, source.manifest.model_copy(update={"figures": figures}))


def _check_alike(source: Bundle, others: Sequence[Checkpoint]) -> None:
    """Check that the runs are of the bundle's training and have the same settings. A bundle stores no settings.

    Runs that were trained elsewhere must be of the same command.
    """
    training = training_of(source.manifest.command) or source.manifest.command
    for each in others:
        if (each.training or each.command) != training:
            raise NotASeed(
                f"{each.path} was trained by {each.command!r}, and the bundle by {source.manifest.command!r}"
            )
        check_alike(each.path, each.settings, others[0].settings)


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
