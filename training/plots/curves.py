"""Plots of metrics over the epochs of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def draw_curves(path: Path, title: str, history: Sequence[Mapping[str, float]], units: Mapping[str, str]) -> None:
    """Draw the metrics that have a unit over the epochs. Metrics of the same unit share a plot."""
    panels: dict[str, list[str]] = {}
    for name in history[0]:
        if name in units:
            panels.setdefault(units[name], []).append(name)
    figure = Figure(figsize=(5 * len(panels), 4), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)
    epochs = [row["epoch"] for row in history]
    for axis, (unit, names) in zip(axes[0], panels.items(), strict=True):
        for name in _different(names, history):
            axis.plot(epochs, [row[name] for row in history], label=name, marker=".")
        axis.set(xlabel="epoch", ylabel=unit)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def _different(names: Sequence[str], history: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the metrics without those whose line is the same as an earlier one's."""
    lines: dict[tuple[float, ...], str] = {}
    for name in names:
        lines.setdefault(tuple(row[name] for row in history), name)
    return list(lines.values())
