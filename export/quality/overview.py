"""Renders the page of all shipped models, docs/models.md, from their manifests."""

from collections.abc import Iterator
from pathlib import Path

from export.bundle.card import number, row
from export.errors import NoBundles
from export.recipes.recipe import Recipe
from export.recipes.registry import recipe
from service.bundle.manifest import MANIFEST_FILE, Bundle, Figure, read_bundle
from training.tasks import registry

PAGE = Path("docs/models.md")
PREFACE = """\
# Models

What ships in `models/`, with its figures as the manifests have them: those of the weights as they ship, and where runs
with several seeds were made, their mean and standard deviation. The cards say more: data, licences, commands, proofs.
`python -m export overview` writes this page anew; a test fails where it is out of date.

Training keeps the epoch that is best on dev, so figures on dev may be better than on unseen data; only the forecasters
have figures on test. For four bundles the best of the seeds 1 to 3 on dev was chosen, which was seed 2 each time:
`sentiment` (accuracy 84.6, 85.7, 85.6 %), `tagging` (95.30, 95.47, 95.25 %), `entities` (F1 30.6, 32.1, 30.2 %)
and `generation` (1.477, 1.457, 1.475 nats per character). The others are of seed 1.
"""
COLUMNS = ("bundle", "pattern", "endpoint", "cell", "figures", "over seeds", "data", "MB")


def render(bundles: list[Bundle], card: str) -> str:
    """Return the page.

    Args:
        bundles: The shipped bundles, in order.
        card: Path from the page to a bundle's card, with {name} for the bundle.
    """
    header = [row(*COLUMNS), row(*["---"] * len(COLUMNS))]
    rows = [row(*_cells(bundle, card.format(name=bundle.path.name))) for bundle in bundles]
    return "\n".join([PREFACE, *header, *rows]) + "\n"


def shipped(directory: Path) -> list[Bundle]:
    """Read the bundles in a directory that have the names of shipped ones, sorted by name. A user's own are left out.

    Raises:
        BundleDamaged: One of them is damaged.
        NoBundles: There is none.
    """
    names = sorted(manifest.parent.name for manifest in directory.glob(f"*/{MANIFEST_FILE}"))
    bundles = [read_bundle(directory / name) for name in names if name in registry.trainings()]
    if not bundles:
        raise NoBundles(f"{directory} holds no shipped bundles: run this in the project's directory, or give --models")
    return bundles


def _cells(bundle: Bundle, card: str) -> list[str]:
    manifest = bundle.manifest
    task = recipe(manifest.task.kind)
    size = sum(path.stat().st_size for path in bundle.path.iterdir())
    cell = manifest.cell if manifest.numerics == "float32" else f"{manifest.cell}, {manifest.numerics}"
    return [
        f"[{manifest.name}]({card})",
        task.pattern,
        f"`{task.endpoint}`{', sessions' if manifest.is_streamable else ''}",
        cell,
        _figures(task, manifest.figures, "graph"),
        _figures(task, manifest.figures, "seeds"),
        ", ".join(data.name for data in manifest.data),
        f"{size / 1e6:.1f}",
    ]


def _figures(task: Recipe, figures: tuple[Figure, ...], of: str) -> str:
    return "<br>".join(_headline(task, figures, of)) or "not measured"


def _headline(task: Recipe, figures: tuple[Figure, ...], of: str) -> Iterator[str]:
    for metric in task.headline:
        for figure in figures:
            if (figure.metric, figure.of) == (metric, of):
                spread = f" ± {number(figure.deviation)} ({figure.runs})" if figure.deviation is not None else ""
                yield f"{figure.split} {metric} {number(figure.value)}{spread}"
