"""Export a checkpoint to a bundle, and import that into the BentoML model store: `python -m export --help`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from export.bundle import export
from export.errors import ExportError
from service.bundle.errors import BundleError
from training import checkpoint
from training.checkpoint import CheckpointError
from training.settings import SettingsError

INTERRUPTED = 130  # what a shell reports of a program ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    try:
        _run(options)
    except (BundleError, CheckpointError, ExportError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Write the bundle of a checkpoint, prove that its graphs are the model, and import it into the "
        "BentoML model store.",
    )
    parser.add_argument("checkpoint", type=Path, help="directory, for instance runs/sentiment/best")
    parser.add_argument(
        "--output", type=Path, default=Path("models"), help="directory of bundles, one for each task; default: models"
    )
    parser.add_argument(
        "--rungs",
        type=_parse_rungs,
        action="append",
        default=[],
        metavar="STAGE=T,T,..",
        help="another ladder for a stage, for instance encode=1,8,32; may be repeated",
    )
    parser.add_argument("--no-import", action="store_true", help="leave the BentoML model store alone")
    return parser


def _parse_rungs(text: str) -> tuple[str, tuple[int, ...]]:
    stage, _, sizes = text.partition("=")
    try:
        return stage, tuple(sorted({int(size) for size in sizes.split(",")}))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected STAGE=T,T,.., not {text!r}") from error


def _run(options: argparse.Namespace) -> None:
    source = checkpoint.load(options.checkpoint)
    exported = export(source, options.output / source.task, dict(options.rungs))
    print(exported.report)
    print("\n".join(map(str, exported.rungs)))
    print(f"wrote {exported.bundle.path}")
    if not options.no_import:
        from service.bundle.store import import_bundle

        print(f"imported {import_bundle(exported.bundle.path).tag} into the BentoML model store")


if __name__ == "__main__":
    sys.exit(main())
