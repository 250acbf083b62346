"""`export compare`: bundles' figures beside published ones, and checks of cards against manifests and graphs."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from export.bundle.bundle import CARD
from export.bundle.card import FIGURES, number, shown
from export.errors import CardDisagrees
from export.quality.quality import SPLIT, measure, measure_for
from export.recipes.registry import plan_of_bundle
from export.running.rungs import Rungs
from service.bundle.manifest import Bundle, Figure
from training.command_line import command_line
from training.data.source import DataError
from training.published import OurFigure

# Relative: about one of SST-2's 872 sentences, and far more than float32 sums differ between machines.
TOLERANCE = 2e-3
COMPARED = {"graph": "as shipped", "seeds": "mean of seeds"}  # figures to compare with published ones


@dataclass(frozen=True)
class Claim:
    """A figure claimed by a bundle's manifest, and what its graphs give now.

    Args:
        bundle: Name of the bundle.
        figure: The figure in the manifest.
        found: Its value measured on the graphs.
    """

    bundle: str
    figure: Figure
    found: float

    @property
    def holds(self) -> bool:
        """Whether both are the same within TOLERANCE. False for a NaN."""
        return abs(self.found - self.figure.value) <= TOLERANCE * abs(self.figure.value)

    def __str__(self) -> str:
        """Format a line of the report."""
        claimed = self.figure
        verdict = "ok" if self.holds else "DISAGREES"
        found = f"claimed {claimed.value:.4f}, the graphs give {self.found:.4f}"
        return f"{self.bundle}: {claimed.split} {claimed.metric} {found}: {verdict}"


def own_figures(bundle: Bundle) -> Iterator[OurFigure]:
    """Yield a bundle's figures for a comparison with published ones: of its graphs, and over several seeds."""
    data = tuple(source.name for source in bundle.manifest.data)
    for figure in bundle.manifest.figures:
        if figure.of in COMPARED:
            name = f"{bundle.manifest.name}, {COMPARED[figure.of]}"
            yield OurFigure(name, data, figure.metric, figure.split, figure.value, figure.deviation)


def claimed(bundle: Bundle) -> Figure | None:
    """Return the figure of the manifest that `measure` can check, or None if there is none."""
    metric = measure_for(bundle).metric
    found = [f for f in bundle.manifest.figures if (f.metric, f.split, f.of) == (metric, SPLIT, "graph")]
    return found[0] if found else None


def check(bundle: Bundle, figure: Figure) -> Claim:
    """Run the graphs of a bundle on the development data.

    Raises:
        DataError: The data are not available.
    """
    return Claim(bundle.manifest.name, figure, measure(bundle, Rungs(bundle, plan_of_bundle(bundle))).value)


def check_cards(bundles: Iterable[Bundle]) -> None:
    """Compare the cards with the manifests.

    Raises:
        CardDisagrees: A figure of a manifest is not on the card.
    """
    wrong = [
        f"{bundle.path / CARD}: {_describe(missing)}" for bundle in bundles if (missing := figures_not_on_card(bundle))
    ]
    if wrong:
        raise CardDisagrees(
            "cards that differ from the figures of their manifests; "
            f"`{command_line('export', 'overview')}` rewrites them\n" + "\n".join(wrong)
        )


def check_graphs(bundles: Iterable[Bundle]) -> None:
    """Run the graphs of all bundles whose figure can be measured, and print each claim.

    Raises:
        CardDisagrees: The graphs of a bundle do not give what it claims.
    """
    claims = []
    for bundle in bundles:
        figure = claimed(bundle)
        if figure is None:
            print(f"{bundle.manifest.name}: not checked: it has no figure of the development data that graphs can give")
            continue
        print(f"running the graphs of {bundle.manifest.name} on the development data", file=sys.stderr)
        try:
            claims.append(check(bundle, figure))
        except DataError as error:
            print(f"{bundle.manifest.name}: not checked: {error}")
            continue
        print(claims[-1])
    if wrong := [claim.bundle for claim in claims if not claim.holds]:
        raise CardDisagrees(f"the graphs do not reproduce the figures on the cards of {', '.join(wrong)}")


def figures_not_on_card(bundle: Bundle) -> list[Figure]:
    """Return the figures of a manifest that its card lacks, or gives with another value or in another column."""
    lines = (bundle.path / CARD).read_text(encoding="utf-8").splitlines()
    header, *rows = [_cells(line) for line in lines if line.startswith("| ")] or [[]]
    columns = FIGURES[bundle.manifest.numerics]
    table = {(*row[:2], column): cell for row in rows for column, cell in zip(header, row, strict=False)}
    return [
        figure
        for figure in bundle.manifest.figures
        if table.get((figure.split, figure.metric, columns[figure.of])) != shown(figure)
    ]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _describe(figures: list[Figure]) -> str:
    return ", ".join(f"{figure.split} {figure.metric} {number(figure.value)} ({figure.of})" for figure in figures)
