"""What ends every verb that makes a bundle: its report, and its import into the BentoML model store."""

import argparse
from pathlib import Path

from export.bundle.bundle import Export

NUMERICS = {"float32": "float32", "graph": "int8"}  # by a figure's `of`, for int8 bundles


def add_no_import(parser: argparse.ArgumentParser) -> None:
    """Add the option that leaves the model store as it is."""
    parser.add_argument(
        "--no-import", action="store_true", help="do not import the bundle into the BentoML model store"
    )


def finish(exported: Export, options: argparse.Namespace) -> None:
    """Print what was made, and import it unless told otherwise."""
    print(exported.report)
    print("\n".join(map(str, exported.rungs)))
    if exported.bundle.manifest.numerics == "int8":
        compared = (figure for figure in exported.bundle.manifest.figures if figure.of in NUMERICS)
        print("\n".join(f"{NUMERICS[f.of]:9} {f.split} {f.metric} {f.value:.4f}" for f in compared))
    print(f"wrote {exported.bundle.path}")
    if not options.no_import:
        import_into_store(exported.bundle.path)


def import_into_store(path: Path) -> None:
    """Import a bundle into the BentoML model store."""
    from service.bundle.store import import_bundle  # loads bentoml, which takes a second

    print(f"imported {import_bundle(path).tag} into the BentoML model store")
