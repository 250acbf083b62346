"""Small multiples: a grid of axes with a curve for each name, one legend for all, saved with a palette."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from training.checkpoint import replace_file
from training.diagnosis.curves import Curve

COLOURS = 128
LEAST_WIDTH = 7.6  # inches: a title and a legend must fit


@dataclass(frozen=True)
class Style:
    """How the curves of one name look, here and in the legend."""

    label: str
    color: str
    linestyle: Any = "-"


@dataclass(frozen=True)
class Panel:
    """One set of axes.

    Args:
        title: Title above the panel.
        curves: Curves by name.
        ylabel: Label of its y axis. If empty, the figure's label, on the first panel of a row only.
    """

    title: str
    curves: Mapping[str, Curve]
    ylabel: str = ""


class Panels:
    """A figure of panels.

    Args:
        grid: Rows of panels. Rows and panels without curves are left out.
        styles: Styles of the curves by name, in the order of the legend.
        xlabel: Label of the x axis of every panel.
        ylabel: Label of the y axis of the first panel of a row, unless it has its own.
        share_y: Whether all panels have the same scale.
    """

    def __init__(
        self,
        grid: Sequence[Sequence[Panel]],
        styles: Mapping[str, Style],
        xlabel: str,
        ylabel: str = "",
        *,
        share_y: bool = True,
    ) -> None:
        kept = [[panel for panel in row if panel.curves] for row in grid]
        self._grid = [row for row in kept if row]
        self._styles = styles
        self.axes: list[Axes] = []
        if self._grid:
            rows, columns = len(self._grid), max(map(len, self._grid))
            width, height = max(3.3 * columns + 0.7, LEAST_WIDTH), 2.6 * rows + 1.0
            self._figure = Figure(figsize=(width, height), layout="constrained")
            subplots = self._figure.subplots(rows, columns, squeeze=False, sharey=share_y)
            for panels, line in zip(self._grid, subplots, strict=True):
                self._fill_row(panels, line, xlabel, ylabel)

    def _fill_row(self, panels: Sequence[Panel], line: Sequence[Axes], xlabel: str, ylabel: str) -> None:
        for i, (panel, axis) in enumerate(zip(panels, line, strict=False)):
            # The first is the widest: where curves lie on one another, all are seen.
            widths = np.linspace(3.0, 1.2, len(panel.curves)) if len(panel.curves) > 2 else [1.5] * len(panel.curves)
            for width, (name, (x, y)) in zip(widths, panel.curves.items(), strict=True):
                style = self._styles[name]
                axis.plot(x, y, linewidth=width, color=style.color, linestyle=style.linestyle)
            axis.set_title(panel.title, fontsize=10)
            axis.set_xlabel(xlabel)
            axis.set_ylabel(panel.ylabel or (ylabel if i == 0 else ""))
            axis.grid(color="0.92", linewidth=0.6)
            self.axes.append(axis)
        for axis in line[len(panels) :]:
            axis.set_visible(False)

    def save(self, path: Path, title: str) -> None:
        """Write the picture, if there are curves. 128 colours make a third of the file, and the eye misses none."""
        if not self.axes:
            return
        shown = {name for row in self._grid for panel in row for name in panel.curves}
        handles = [
            Line2D([], [], linewidth=1.8, label=style.label, color=style.color, linestyle=style.linestyle)
            for name, style in self._styles.items()
            if name in shown
        ]
        self._figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), frameon=False)
        self._figure.suptitle(title, fontsize=11)
        picture, small = io.BytesIO(), io.BytesIO()
        self._figure.savefig(picture, format="png", dpi=110)
        Image.open(picture).convert("RGB").quantize(COLOURS).save(small, format="png", optimize=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, small.getvalue())
