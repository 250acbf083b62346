"""Figures over several seeds for a bundle that is there: its manifest and card are written anew, its graphs stay."""

from collections.abc import Sequence
from pathlib import Path

from export.errors import NotMeasured
from export.figures import of_checkpoint, over_seeds
from export.rewriting import rewritten
from service.bundle.manifest import MANIFEST_FILE, Bundle
from training.checkpoint import FIGURES, Figures, read_figures


def add_seeds(source: Bundle, others: Sequence[Path]) -> Bundle:
    """Write the mean and deviation of a bundle's own figures and those of runs with other seeds into the bundle.

    Args:
        source: The bundle. It is replaced.
        others: Checkpoints of the other runs. Only their measured figures are read.

    Returns:
        The new bundle.

    Raises:
        NotMeasured: The bundle or a run has no figures.
        NotASeed: Two runs have the same figures, or the runs have no figure in common.
    """
    runs = [_own(source), *(_measured(path) for path in others)]
    kept = [figure for figure in source.manifest.figures if figure.of != "seeds"]
    num_own = sum(figure.of == "checkpoint" for figure in kept)
    figures = (*kept[:num_own], *over_seeds(runs), *kept[num_own:])
    return rewritten(source, source.manifest.model_copy(update={"figures": figures}))


def _own(source: Bundle) -> Figures:
    found = of_checkpoint(source.manifest.figures)
    if not found:
        raise NotMeasured(f"{source.path / MANIFEST_FILE} has no figures of the checkpoint")
    return found


def _measured(path: Path) -> Figures:
    found = read_figures(path)
    if not found:
        raise NotMeasured(f"{path} has no {FIGURES}: `python -m training evaluate {path}` writes it")
    return found
