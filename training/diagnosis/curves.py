"""The measured curves of each case, read back from its files."""

from collections.abc import Iterable, Mapping, Sequence

from training.diagnosis.plan import Case

Curve = tuple[Sequence[float], Sequence[float]]  # x, growing, and y
Curves = Mapping[Case, Mapping[str, Curve]]  # by case and quantity

LEARNING_COLUMNS = ("error", "train_loss", "grad_norm", "seconds")


def measured_curves(rows: Iterable[Mapping[str, str]]) -> Curves:
    """Curves of measurements over t, from rows with "quantity", "t" and "value"."""
    return _collect((row, row["quantity"], row["t"], row["value"]) for row in rows)


def learning_curves(rows: Iterable[Mapping[str, str]]) -> Curves:
    """Curves of learning over optimizer steps, from rows with "step" and LEARNING_COLUMNS."""
    return _collect((row, name, row["step"], row[name]) for row in rows for name in LEARNING_COLUMNS)


def _collect(points: Iterable[tuple[Mapping[str, str], str, str, str]]) -> Curves:
    found: dict[Case, dict[str, list[tuple[float, float]]]] = {}
    for row, quantity, x, y in points:
        found.setdefault(Case.of(row), {}).setdefault(quantity, []).append((float(x), float(y)))
    return {
        case: {quantity: _as_curve(points) for quantity, points in found[case].items()}
        for case in sorted(found, key=lambda case: case.order)
    }


def _as_curve(points: Iterable[tuple[float, float]]) -> Curve:
    ordered = sorted(points)
    return [x for x, _ in ordered], [y for _, y in ordered]
