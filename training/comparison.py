"""`python -m training compare`: prints measured checkpoints beside published figures.

`python -m export compare` does the same for bundles and also runs their graphs, about which training knows nothing.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from training import checkpoint, published
from training.checkpoint import Checkpoint
from training.published import OurFigure

RUNS = Path("runs")


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line of training."""
    parser = commands.add_parser(
        "compare",
        help="compare measured checkpoints with published figures",
        description="Print the figures of checkpoints that `evaluate` measured beside published ones. For shipped "
        "models, and to check the figures on their cards, use python -m export compare.",
    )
    parser.add_argument(
        "checkpoints",
        nargs="*",
        type=Path,
        help=f"directories of checkpoints; default: every {RUNS}/*/best that was measured",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    paths = options.checkpoints or sorted(file.parent for file in RUNS.glob(f"*/best/{checkpoint.FIGURES}"))
    figures = [figure for path in paths for figure in own_figures(checkpoint.load(path))]
    if not figures:
        print("no measured checkpoint was found: train one, or name one that `evaluate` has measured", file=sys.stderr)
        return 1
    lines = list(published.compare(figures, published.load()))
    print(
        "\n".join(lines) if lines else "no published figures are for the data that these checkpoints were measured on"
    )
    return 0


def own_figures(source: Checkpoint) -> Iterator[OurFigure]:
    """Yield every measured figure of a checkpoint, for comparison with published tables."""
    data = tuple(origin.name for origin in source.sources)
    for split, values in source.figures.items():
        for metric, value in values.items():
            yield OurFigure(str(source.path), data, metric, split, value)
