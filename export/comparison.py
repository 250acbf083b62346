"""Our bundles beside published figures, and whether their cards are true: the graphs are run to find out."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from export.bundle import CARD
from export.card import number
from export.errors import CardDisagrees
from export.quality import SPLIT, measure, measure_of
from export.rungs import Rungs
from export.served import plans
from service.bundle.manifest import Bundle, Figure
from training.data.source import DataError
from training.published import Own

# Relative: one of SST-2's 872 sentences, and far more than what sums of float32 differ by from machine to machine.
TOLERANCE = 2e-3
SHOWN = {"graph": "as shipped", "seeds": "mean of seeds"}


@dataclass(frozen=True)
class Claim:
    """A figure of a bundle's manifest, and what its graphs give now.

    Args:
        bundle: Its name.
        figure: As the manifest has it.
        found: The same figure of the graphs.
    """

    bundle: str
    figure: Figure
    found: float

    @property
    def holds(self) -> bool:
        """Whether both are the same figure; a NaN is never."""
        return abs(self.found - self.figure.value) <= TOLERANCE * abs(self.figure.value)

    def __str__(self) -> str:
        """A line of the report."""
        claimed = self.figure
        verdict = "ok" if self.holds else "DISAGREES"
        found = f"claimed {claimed.value:.4f}, the graphs give {self.found:.4f}"
        return f"{self.bundle}: {claimed.split} {claimed.metric} {found}: {verdict}"


def own_figures(bundle: Bundle) -> Iterator[Own]:
    """The figures of a bundle as published tables take them: of its graphs, and of runs with several seeds."""
    data = tuple(source.name for source in bundle.manifest.data)
    for figure in bundle.manifest.figures:
        if figure.of in SHOWN:
            name = f"{bundle.manifest.name}, {SHOWN[figure.of]}"
            yield Own(name, data, figure.metric, figure.split, figure.value, figure.deviation)


def claimed(bundle: Bundle) -> Figure | None:
    """The figure of the manifest that `measure` can check; None if there is none."""
    metric = measure_of(bundle).metric
    found = [f for f in bundle.manifest.figures if (f.metric, f.split, f.of) == (metric, SPLIT, "graph")]
    return found[0] if found else None


def check(bundle: Bundle, figure: Figure) -> Claim:
    """Run the graphs of a bundle on the development data.

    Raises:
        DataError: The data cannot be had.
    """
    return Claim(bundle.manifest.name, figure, measure(bundle, Rungs(bundle, plans(bundle))).value)


def check_cards(bundles: Iterable[Bundle]) -> None:
    """Compare the cards with the manifests.

    Raises:
        CardDisagrees: A figure of a manifest is not on the card.
    """
    wrong = [f"{bundle.path / CARD}: {_describe(untold(bundle))}" for bundle in bundles if untold(bundle)]
    if wrong:
        raise CardDisagrees("figures of the manifest that the card has not, or otherwise\n" + "\n".join(wrong))


def check_graphs(bundles: Iterable[Bundle]) -> None:
    """Run the graphs of all bundles whose figure can be measured; prints each claim.

    Raises:
        CardDisagrees: A graph does not give what its bundle claims.
    """
    claims = []
    for bundle in bundles:
        figure = claimed(bundle)
        if figure is None:
            print(
                f"{bundle.manifest.name}: not checked, it claims no figure of the development data that graphs can give"
            )
            continue
        print(f"running the graphs of {bundle.manifest.name} on the development data", file=sys.stderr)
        try:
            claims.append(check(bundle, figure))
        except DataError as error:
            print(f"{bundle.manifest.name}: not checked: {error}")
            continue
        print(claims[-1])
    if wrong := [claim.bundle for claim in claims if not claim.holds]:
        raise CardDisagrees(f"the graphs give other figures than the cards of {', '.join(wrong)}")


def untold(bundle: Bundle) -> list[Figure]:
    """The figures of a manifest that its card does not give, or gives otherwise."""
    lines = (bundle.path / CARD).read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [figure for figure in bundle.manifest.figures if not any(_tells(row, figure) for row in rows)]


def _tells(row: list[str], figure: Figure) -> bool:
    is_of_figure = row[:2] == [figure.split, figure.metric]
    return is_of_figure and any(cell.split(" ")[0] == number(figure.value) for cell in row[2:])


def _describe(figures: list[Figure]) -> str:
    return ", ".join(f"{figure.split} {figure.metric} {number(figure.value)} ({figure.of})" for figure in figures)
