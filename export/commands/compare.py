"""`python -m export compare`: shipped models beside published figures, and a check of their cards."""

import argparse
from pathlib import Path

from export.quality import comparison, overview
from training import published


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(
        prog="python -m export compare",
        description="Print the figures of the shipped models beside published ones, then run their graphs on the "
        "development data; it is an error if a card says something else.",
    )
    parser.add_argument("--models", type=Path, default=Path("models"), help="directory of bundles; default: models")
    parser.add_argument("--no-measure", action="store_true", help="only print the figures, without running the graphs")
    parser.set_defaults(run=_compare)
    return parser


def _compare(options: argparse.Namespace) -> None:
    bundles = overview.shipped(options.models)
    figures = [figure for bundle in bundles for figure in comparison.own_figures(bundle)]
    print("\n".join(published.compare(figures, published.load())))
    comparison.check_cards(bundles)
    if not options.no_measure:
        comparison.check_graphs(bundles)
