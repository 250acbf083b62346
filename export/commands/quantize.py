"""`python -m export quantize`: the int8 bundle of a float32 one."""

import argparse
from pathlib import Path

from export.bundle.bundle import Export
from export.commands.finish import add_no_import, finish
from export.int8.int8 import quantize
from service.bundle.manifest import read_bundle


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(
        prog="python -m export quantize",
        description="Write an int8 bundle from a float32 one: verify that a row gets the same bits in any batch and "
        "any cut, measure both bundles on the development data, and refuse the new one if it loses too much quality. "
        "One of your own data is not measured: compare its answers with those of the float32 bundle.",
    )
    parser.add_argument("bundle", type=Path, help="directory of the bundle, for instance models/generation")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="directory of bundles, to which the int8 bundle is added under its name",
    )
    add_no_import(parser)
    parser.set_defaults(run=lambda options: finish(_quantize(options), options))
    return parser


def _quantize(options: argparse.Namespace) -> Export:
    source = read_bundle(options.bundle)
    return quantize(source, options.output / source.manifest.name)
