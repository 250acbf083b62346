"""`python -m export verify` and `import`: bundles whose graphs were made elsewhere."""

import argparse
from pathlib import Path

from export.commands.finish import import_into_store
from export.commands.names import add_replace_shipped, check_reserved
from export.proof.verification import check_passed, verify
from service.bundle.manifest import Bundle, read_bundle
from training.checkpoint import training_of
from training.data.source import is_own


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(
        prog="python -m export verify",
        description="Check a bundle whose graphs were made elsewhere: its manifest and checksums, and that a row gets "
        "the same bits in any batch, beside a row of NaN, and in any cut. The bundle is not changed.",
    )
    parser.add_argument("bundle", type=Path, help="directory of the bundle")
    parser.set_defaults(run=_verify)
    return parser


def build_import_parser() -> argparse.ArgumentParser:
    """Return the parser of `import`."""
    parser = argparse.ArgumentParser(
        prog="python -m export import",
        description="Check a bundle as `python -m export verify` does, then import it into the BentoML model store. A "
        "bundle that fails a check is refused.",
    )
    parser.add_argument("bundle", type=Path, help="directory of the bundle")
    add_replace_shipped(parser)
    parser.set_defaults(run=_import)
    return parser


def _verify(options: argparse.Namespace) -> Bundle:
    bundle = read_bundle(options.bundle)
    report = verify(bundle)
    print(report)
    check_passed(bundle, report)
    print(f"{bundle.path}: all {len(report.checks)} checks passed")
    return bundle


def _import(options: argparse.Namespace) -> None:
    manifest = read_bundle(options.bundle).manifest
    own = any(is_own(data.address) for data in manifest.data) or not training_of(manifest.command)
    if own and not options.replace_shipped:
        check_reserved(manifest.name, f"{options.bundle} is not shipped", 'give another "name" in its manifest')
    import_into_store(_verify(options).path)
    print(f"next:\n    UNROLLED_BUNDLES={manifest.name}:latest make serve")
