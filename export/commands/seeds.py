"""`python -m export seeds`: figures over several seeds, for an existing bundle."""

import argparse
from pathlib import Path

from export.bundle.card import number
from export.quality.seeds import add_seeds
from service.bundle.manifest import read_bundle


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(
        prog="python -m export seeds",
        description="Add to a bundle the mean and deviation of its figures over runs with several seeds; its graphs "
        "stay as they are.",
    )
    parser.add_argument("bundle", type=Path, help="directory of the bundle, for instance models/generation")
    parser.add_argument(
        "checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="measured checkpoint of another seed"
    )
    parser.set_defaults(run=_add_seeds)
    return parser


def _add_seeds(options: argparse.Namespace) -> None:
    bundle = add_seeds(read_bundle(options.bundle), options.checkpoints)
    for figure in bundle.manifest.figures:
        if figure.deviation is not None:
            print(f"{figure.split} {figure.metric} {number(figure.value)} ± {number(figure.deviation)}")
    print(f"wrote {bundle.path}")
