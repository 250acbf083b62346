"""`python -m export CHECKPOINT`: the bundle of a checkpoint, float32 or int8."""

import argparse
import re
import tempfile
from pathlib import Path

from export.bundle.bundle import Export
from export.bundle.bundle import export as export_checkpoint
from export.bundle.directory import check_destination
from export.commands.finish import add_no_import, finish
from export.commands.names import add_replace_shipped, check_reserved
from export.errors import NameMissing, OriginMissing
from export.int8.int8 import check_kind, quantize
from export.recipes.registry import kind_of, recipe
from service.bundle.manifest import NAME
from training import checkpoint
from training.checkpoint import HAS_ORIGIN, Checkpoint


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Export a checkpoint as a bundle, verify that its graphs match the model, and import it into the "
        "BentoML model store.",
        epilog="`python -m export quantize BUNDLE` makes an int8 bundle of a float32 one; `seeds BUNDLE CHECKPOINT ..` "
        "adds figures over several seeds to a bundle; `verify BUNDLE` checks one whose graphs were made elsewhere, and "
        "`import BUNDLE` imports it, too; `overview` writes the page of the shipped models and their "
        "cards; `compare` prints their figures beside published ones and checks them. Each has its own --help.",
    )
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="directory of the checkpoint, for instance runs/sentiment/best; if named like a command, type ./quantize",
    )
    parser.add_argument("--output", type=Path, default=Path("models"), help="directory of bundles; default: models")
    parser.add_argument(
        "--name",
        type=_parse_name,
        help="name of the bundle; default: the name of the training; required if it learned from your own file, or "
        "was trained elsewhere",
    )
    add_replace_shipped(parser)
    parser.add_argument(
        "--seed",
        type=Path,
        action="append",
        default=[],
        dest="others",
        metavar="CHECKPOINT",
        help="checkpoint of another seed, for the mean and deviation of the figures; may be repeated",
    )
    parser.add_argument(
        "--rungs",
        type=_parse_rungs,
        action="append",
        default=[],
        metavar="STAGE=T,T,..",
        help="rungs of a stage's ladder, for instance encode=1,8,32; may be repeated",
    )
    parser.add_argument(
        "--int8", action="store_true", help="quantize the graphs; see `python -m export quantize --help`"
    )
    add_no_import(parser)
    parser.set_defaults(run=lambda options: finish(_export(options), options))
    return parser


def _parse_name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise argparse.ArgumentTypeError(
            f"expected at most 63 lower-case letters, digits and .-_, beginning with a letter or digit, not {text!r}"
        )
    return text


def _parse_rungs(text: str) -> tuple[str, tuple[int, ...]]:
    stage, _, sizes = text.partition("=")
    try:
        return stage, tuple(sorted({int(size) for size in sizes.split(",")}))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected STAGE=T,T,.., not {text!r}") from error


def _export(options: argparse.Namespace) -> Export:
    source = checkpoint.load(options.checkpoint)
    others = [checkpoint.load(path) for path in options.others]
    _check_origin(source)
    _check_name(source, options)
    destination = options.output / (options.name or source.training)
    if not options.int8:
        return export_checkpoint(source, destination, dict(options.rungs), others)
    check_destination(destination)
    check_kind(source.path, kind_of(source.task), recipe(source.task).cell(source.model))
    with tempfile.TemporaryDirectory(prefix="unrolled-") as directory:
        float32 = export_checkpoint(source, Path(directory) / destination.name, dict(options.rungs), others)
        return quantize(float32.bundle, destination)


def _check_name(source: Checkpoint, options: argparse.Namespace) -> None:
    """Check that a bundle of a user's own data or weights does not replace a shipped one unasked."""
    if source.origin is not None:
        why = "the model was trained elsewhere"
    elif own := [data.name for data in source.sources if data.is_own]:
        why = f"the model learned from {own[0]}"
    else:
        return
    if not options.name:
        raise NameMissing(f"{why}: give its bundle its own name with --name")
    if not options.replace_shipped:
        check_reserved(options.name, why, "give another --name")


def _check_origin(source: Checkpoint) -> None:
    if source.origin is None and not source.training:
        advice = (
            "say where its weights come from"
            if source.task == HAS_ORIGIN
            else f"only checkpoints of {HAS_ORIGIN} can come from elsewhere; make a bundle of its graphs"
        )
        raise OriginMissing(
            f"{source.path} was not trained by `python -m training`: {advice}, as docs/own-weights.md shows. Its "
            f"command is {source.command!r}"
        )
