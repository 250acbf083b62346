"""The pictures of a diagnosis. Colours tell apart for colour-blind readers (Okabe and Ito 2008), dashes help."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from training.diagnosis.curves import Curve, Curves
from training.diagnosis.panels import Panel, Panels, Style
from training.diagnosis.plan import PROBLEMS, WINDOWS
from training.diagnosis.variants import VARIANTS

LOWEST_GRADIENT = 1e-20  # what is below it is below everything that matters
SHOWN_SIGMAS = (-40, 12)  # log10
COLUMNS = 3

BLACK, ORANGE, BLUE, LIGHT_BLUE, GREEN, PINK = "#000000", "#D55E00", "#0072B2", "#56B4E9", "#009E73", "#CC79A7"
LOOKS: Mapping[str, tuple[str, Any]] = {
    "tanh": (BLACK, "-"),
    "orthogonal": (PINK, "-"),
    "irnn": (ORANGE, "-"),
    "lstm-0": (LIGHT_BLUE, (0, (1, 1))),
    "lstm-1": (BLUE, "-"),
    "lstm-10": (BLUE, (0, (4, 2))),
    "gru": (GREEN, "-"),
}
STYLES = {name: Style(VARIANTS[name].label, *look) for name, look in LOOKS.items()}
STATE_STYLES = {"h": Style("hidden state, dL/dh$_t$", ORANGE, (0, (4, 2))), "c": Style("cell state, dL/dc$_t$", BLUE)}
CLIPPING_STYLES = {
    "none": Style("not clipped", ORANGE),
    "clip": Style("clipped to norm 1 (norm before clipping)", BLUE),
}
PHASE_TITLES = {"initial": "as it starts", "trained": "after training"}


def draw(
    directory: Path, measured: Mapping[str, Curves], learning: Curves, clipping: Sequence[Mapping[str, str]]
) -> None:
    """Draw all pictures that there are data for."""
    for problem in ("adding", "copying"):
        draw_gradients(directory / f"gradients-{problem}.png", problem, measured)
        draw_jacobians(directory / f"jacobians-{problem}.png", problem, measured)
    draw_tasks(directory / "gradients-tasks.png", measured)
    draw_cell_state(directory / "gradients-lstm.png", measured["initial"])
    draw_learning(directory / "learning.png", learning)
    draw_clipping(directory / "clipping.png", clipping)


def draw_gradients(path: Path, problem: str, measured: Mapping[str, Curves]) -> None:
    """|dL/dh_t| over t, a row of panels for each phase and a column for each T."""
    panels = Panels(_phases_and_lengths(problem, measured, "gradient_h"), STYLES, "step t", "norm of dL/dh$_t$")
    _scale_gradients(panels.axes)
    panels.save(path, f"How much gradient reaches step t: {problem} problem, answered at the end")


def draw_jacobians(path: Path, problem: str, measured: Mapping[str, Curves]) -> None:
    """log10 of the largest singular value of ds_T/ds_{T-k} over the lag k."""
    grid = [
        [Panel(panel.title, {name: _by_lag(curve) for name, curve in panel.curves.items()}) for panel in row]
        for row in _phases_and_lengths(problem, measured, "log10_singular_value")
    ]
    panels = Panels(grid, STYLES, "lag k, steps", "log$_{10}$ of largest singular value")
    for axis in panels.axes:
        axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for axis in panels.axes[:1]:
        low, high = axis.get_ylim()
        axis.set_ylim(max(low, SHOWN_SIGMAS[0]), min(high, SHOWN_SIGMAS[1]))
    panels.save(path, f"Product of Jacobians ds$_T$/ds$_{{T-k}}$: {problem} problem")


def draw_tasks(path: Path, measured: Mapping[str, Curves]) -> None:
    """|dL/dh_t| over t on the data of the shipped tasks, a column for each."""
    grid = [
        [
            Panel(f"{problem}, T = {T}, {PHASE_TITLES[phase]}", _of(curves, problem, T, "gradient_h"))
            for problem, T in WINDOWS.items()
        ]
        for phase, curves in measured.items()
    ]
    panels = Panels(grid, STYLES, "step t", "norm of dL/dh$_t$")
    _scale_gradients(panels.axes)
    panels.save(path, "How much gradient of the last answer reaches step t: data of the shipped tasks")


def draw_cell_state(path: Path, initial: Curves) -> None:
    """|dL/dh_t| and |dL/dc_t| of fresh LSTMs by forget bias: what h forgets, c carries."""
    lengths = sorted({case.T for case in initial if case.problem == "adding"})
    T = lengths[len(lengths) // 2] if lengths else 0
    row = [
        Panel(f"{VARIANTS[case.variant].label}, T = {T}", {name: curves[f"gradient_{name}"] for name in STATE_STYLES})
        for case, curves in initial.items()
        if (case.problem, case.T) == ("adding", T) and "gradient_c" in curves
    ]
    panels = Panels([row], STATE_STYLES, "step t", "norm of the gradient")
    _scale_gradients(panels.axes)
    panels.save(path, "Fresh LSTMs, adding problem: the forget bias decides how far back gradients reach")


def draw_learning(path: Path, learning: Curves) -> None:
    """Error over optimizer steps, a panel for each problem and T."""
    places = sorted({(case.problem, case.T) for case in learning if case.problem not in WINDOWS})
    panels = [_learning_panel(learning, problem, T) for problem, T in places]
    grid = [panels[i : i + COLUMNS] for i in range(0, len(panels), COLUMNS)]
    drawn = Panels(grid, STYLES, "optimizer step", share_y=False)
    for axis, (name, T) in zip(drawn.axes, places, strict=True):
        axis.set_yscale("log")
        problem = PROBLEMS[name](T)
        if problem.baseline is not None:
            axis.axhline(problem.baseline, color="0.55", linewidth=0.8, zorder=0)
        if name == "adding" and problem.solved is not None:  # that of copying is far below what is reached
            axis.axhline(problem.solved, color="0.55", linewidth=0.8, linestyle=":", zorder=0)
    drawn.save(path, "Error over optimizer steps (grey: the input is ignored; dotted: solved)")


def _learning_panel(learning: Curves, problem: str, T: int) -> Panel:
    return Panel(f"{problem}, T = {T}", _of(learning, problem, T, "error"), PROBLEMS[problem](T).unit)


def draw_clipping(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Gradient norm and loss of plain gradient descent, with and without clipping, a column for each network."""
    lengths = {row["variant"]: row["T"] for row in rows}
    grid = [
        [Panel(f"{VARIANTS[name].label}, T = {T}", _descents(rows, name, column), label) for name, T in lengths.items()]
        for column, label in (("grad_norm", "norm of the gradient"), ("loss", "MSE of the batch"))
    ]
    panels = Panels(grid, CLIPPING_STYLES, "step of plain gradient descent", share_y=False)
    explosions = 0
    for axis, panel in zip(panels.axes, [panel for row in grid for panel in row], strict=True):
        axis.set_yscale("log")
        explosions += _mark_ends(axis, panel)
    explained = " (x: no number from there on)" if explosions else ""
    panels.save(path, f"Exploding gradients, with and without clipping: adding problem{explained}")


def _phases_and_lengths(problem: str, measured: Mapping[str, Curves], quantity: str) -> list[list[Panel]]:
    """A row for each phase, a column for each T that was trained and for three that were measured."""
    trained = {case.T for case in measured["trained"] if case.problem == problem}
    fresh = sorted({case.T for case in measured["initial"] if case.problem == problem})
    lengths = sorted(trained.union(fresh[:: max(1, len(fresh) // 2)]))
    return [
        [Panel(f"T = {T}, {PHASE_TITLES[phase]}", _of(curves, problem, T, quantity)) for T in lengths]
        for phase, curves in measured.items()
    ]


def _of(curves: Curves, problem: str, T: int, quantity: str) -> dict[str, Curve]:
    """The curves of one problem, length and quantity, of the first seed of each variant."""
    found: dict[str, Curve] = {}
    for case, quantities in curves.items():
        if (case.problem, case.T) == (problem, T):
            found.setdefault(case.variant, quantities[quantity])
    return found


def _by_lag(curve: Curve) -> Curve:
    times, values = curve
    return [times[-1] - t for t in reversed(times)], list(reversed(values))


def _descents(rows: Sequence[Mapping[str, str]], variant: str, column: str) -> dict[str, Curve]:
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        if row["variant"] == variant:
            steps, values = curves.setdefault("none" if row["clip_grad_norm"] == "none" else "clip", ([], []))
            steps.append(float(row["step"]))
            values.append(float(row[column]))
    return dict(curves)


def _mark_ends(axis: Axes, panel: Panel) -> int:
    """Mark descents that ended before the others with a cross, and return their number."""
    last = max(max(steps) for steps, _ in panel.curves.values())
    ended = [name for name, (steps, _) in panel.curves.items() if steps[-1] < last]
    for name in ended:
        known = [point for point in zip(*panel.curves[name], strict=True) if math.isfinite(point[1])]
        axis.plot(*known[-1], marker="x", markersize=9, markeredgewidth=2, color=CLIPPING_STYLES[name].color)
    return len(ended)


def _scale_gradients(axes: Sequence[Axes]) -> None:
    """Set a logarithmic scale. The axes share their limits, so setting those of the first is enough."""
    norms = [value for axis in axes for line in axis.get_lines() for value in np.asarray(line.get_ydata()) if value > 0]
    for axis in axes:
        axis.set_yscale("log")
    for axis in axes[:1] if norms else []:
        axis.set_ylim(max(min(norms) / 3, LOWEST_GRADIENT), 10 * max(norms))
