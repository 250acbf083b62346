"""Command line: makes bundles and imports them into the BentoML model store.

python -m export CHECKPOINT             the float32 bundle of a checkpoint
python -m export CHECKPOINT --int8      its int8 bundle
python -m export quantize BUNDLE        the int8 bundle of a float32 bundle
python -m export seeds BUNDLE CHECKPOINT ..   figures over several seeds, for an existing bundle
python -m export verify BUNDLE          checks a bundle whose graphs were made elsewhere
python -m export import BUNDLE          checks it and imports it
python -m export overview               the page of all shipped models, docs/models.md, and their cards
python -m export compare                shipped models beside published figures, and a check of their cards
"""

import argparse
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch

from export import comparison, overview
from export.bundle import CARD, Export, export
from export.card import number
from export.directory import check_destination
from export.errors import ExportError, NameMissing, NameReserved, OriginMissing
from export.int8 import check_kind, quantize
from export.recipes.registry import kind_of, recipe
from export.rewriting import rendered, rewritten
from export.seeds import add_seeds
from export.verification import check_passed, verify
from service.bundle.errors import BundleError
from service.bundle.manifest import NAME, Bundle, read_bundle
from training import checkpoint, published
from training.checkpoint import HAS_ORIGIN, Checkpoint, CheckpointError, training_of
from training.data.source import is_own
from training.exit_status import INTERRUPTED, TERMINATED
from training.settings import SettingsError
from training.tasks import registry

NUMERICS = {"float32": "float32", "graph": "int8"}  # by a figure's `of`, for int8 bundles


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parsers = {
        "quantize": _quantize_parser,
        "seeds": _seeds_parser,
        "verify": _verify_parser,
        "import": _import_parser,
        "overview": _overview_parser,
        "compare": _compare_parser,
    }
    parser = parsers.get(given[0] if given else "")
    try:
        options = parser().parse_args(given[1:]) if parser is not None else _parser().parse_args(given)
        torch.set_num_threads(1)
        with _ended_by_sigterm():
            options.run(options)
    except (BundleError, CheckpointError, ExportError, OSError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interruption:
        print("\ninterrupted: only the files reported above as written were written", file=sys.stderr)
        return TERMINATED if isinstance(interruption, _Terminated) else INTERRUPTED
    return 0


class _Terminated(KeyboardInterrupt):
    """SIGTERM has arrived."""


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise an exception, so that it leaves no unfinished bundle behind.

    Where SIGTERM is ignored, or handled by whoever calls `main`, that stays as it is.
    """
    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(_: int, __: FrameType | None) -> NoReturn:
    raise _Terminated


def _parser() -> argparse.ArgumentParser:
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
    _add_replace_shipped(parser)
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
    _add_import(parser)
    parser.set_defaults(run=lambda options: _finish(_export(options), options))
    return parser


def _quantize_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export quantize",
        description="Write an int8 bundle from a float32 one: verify that a row gets the same bits in any batch and "
        "any cut, measure both bundles on the development data, and refuse the new one if it loses too much quality.",
    )
    parser.add_argument("bundle", type=Path, help="directory of the bundle, for instance models/generation")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="directory of bundles, to which the int8 bundle is added under its name",
    )
    _add_import(parser)
    parser.set_defaults(run=lambda options: _finish(_quantize(options), options))
    return parser


def _seeds_parser() -> argparse.ArgumentParser:
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


def _verify_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export verify",
        description="Check a bundle whose graphs were made elsewhere: its manifest and checksums, and that a row gets "
        "the same bits in any batch, beside a row of NaN, and in any cut. The bundle is not changed.",
    )
    parser.add_argument("bundle", type=Path, help="directory of the bundle")
    parser.set_defaults(run=_verify)
    return parser


def _import_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export import",
        description="Check a bundle as `python -m export verify` does, then import it into the BentoML model store. A "
        "bundle that fails a check is refused.",
    )
    parser.add_argument("bundle", type=Path, help="directory of the bundle")
    _add_replace_shipped(parser)
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
        _check_reserved(manifest.name, f"{options.bundle} is not shipped", 'give another "name" in its manifest')
    _import_into_store(_verify(options).path)
    print(f"next:\n    UNROLLED_BUNDLES={manifest.name}:latest make serve")


def _overview_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export overview",
        description=f"Write {overview.PAGE} from the manifests of the shipped models, and rewrite those of their cards "
        "that are out of date.",
    )
    parser.add_argument("--models", type=Path, default=Path("models"), help="directory of bundles; default: models")
    parser.add_argument("--output", type=Path, default=overview.PAGE, help=f"page to write; default: {overview.PAGE}")
    parser.set_defaults(run=_write_overview)
    return parser


def _compare_parser() -> argparse.ArgumentParser:
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


def _write_overview(options: argparse.Namespace) -> None:
    for bundle in overview.shipped(options.models):
        if rendered(bundle, bundle.manifest) != bundle.file(CARD).read_text(encoding="utf-8"):
            rewritten(bundle, bundle.manifest)
            print(f"wrote {bundle.path / CARD}")
    card = Path(os.path.relpath(options.models, options.output.parent)) / "{name}" / CARD
    options.output.write_text(overview.render(overview.shipped(options.models), card.as_posix()), encoding="utf-8")
    print(f"wrote {options.output}")


def _add_replace_shipped(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--replace-shipped",
        action="store_true",
        help="allow a bundle of your own data or weights to take the name of a shipped one and be served instead",
    )


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-import", action="store_true", help="do not import the bundle into the BentoML model store"
    )


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
        return export(source, destination, dict(options.rungs), others)
    check_destination(destination)
    check_kind(source.path, kind_of(source.task), recipe(source.task).cell(source.model))
    with tempfile.TemporaryDirectory(prefix="unrolled-") as directory:
        float32 = export(source, Path(directory) / destination.name, dict(options.rungs), others)
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
        _check_reserved(options.name, why, "give another --name")


def _check_reserved(name: str, why: str, advice: str) -> None:
    if name in registry.trainings():
        raise NameReserved(
            f"{why}, and {name} is the name of a model that is trained on published data: {advice}, or add "
            "--replace-shipped to serve yours instead"
        )


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


def _quantize(options: argparse.Namespace) -> Export:
    source = read_bundle(options.bundle)
    return quantize(source, options.output / source.manifest.name)


def _finish(exported: Export, options: argparse.Namespace) -> None:
    print(exported.report)
    print("\n".join(map(str, exported.rungs)))
    if exported.bundle.manifest.numerics == "int8":
        compared = (figure for figure in exported.bundle.manifest.figures if figure.of in NUMERICS)
        print("\n".join(f"{NUMERICS[f.of]:9} {f.split} {f.metric} {f.value:.4f}" for f in compared))
    print(f"wrote {exported.bundle.path}")
    if not options.no_import:
        _import_into_store(exported.bundle.path)


def _import_into_store(path: Path) -> None:
    from service.bundle.store import import_bundle

    print(f"imported {import_bundle(path).tag} into the BentoML model store")
