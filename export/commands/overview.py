"""`python -m export overview`: the page of all shipped models, and their cards."""

import argparse
import os
from pathlib import Path

from export.bundle.bundle import CARD
from export.bundle.rewriting import rendered, rewritten
from export.quality import overview


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(
        prog="python -m export overview",
        description=f"Write {overview.PAGE} from the manifests of the shipped models, and rewrite those of their cards "
        "that are out of date.",
    )
    parser.add_argument("--models", type=Path, default=Path("models"), help="directory of bundles; default: models")
    parser.add_argument("--output", type=Path, default=overview.PAGE, help=f"page to write; default: {overview.PAGE}")
    parser.set_defaults(run=_write_overview)
    return parser


def _write_overview(options: argparse.Namespace) -> None:
    for bundle in overview.shipped(options.models):
        if rendered(bundle, bundle.manifest) != bundle.file(CARD).read_text(encoding="utf-8"):
            rewritten(bundle, bundle.manifest)
            print(f"wrote {bundle.path / CARD}")
    card = Path(os.path.relpath(options.models, options.output.parent)) / "{name}" / CARD
    options.output.write_text(overview.render(overview.shipped(options.models), card.as_posix()), encoding="utf-8")
    print(f"wrote {options.output}")
