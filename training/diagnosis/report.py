"""The report of a diagnosis: a table of all cases, the curves in one file a kind, and pictures.

output/report/summary.csv                                  one row for each case and phase
output/report/gradients.csv, learning.csv, clipping.csv    the curves
output/report/*.png                                        see plots
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from training.diagnosis import plots
from training.diagnosis.curves import Curves, learning_curves, measured_curves
from training.diagnosis.results import Row, read_all, write_csv

PHASES = ("initial", "trained")
HEAD = f"{'problem':>11} {'T':>4} {'network':>11} {'phase':>8} {'dL/dh_1':>9} {'dL/dh_T':>9} {'a step':>7} {'error':>9}"


def write(output: Path) -> None:
    """Write the report of all that is measured so far."""
    rows = {name: list(read_all(output / name)) for name in (*PHASES, "learning", "clipping")}
    measured = {phase: measured_curves(rows[phase]) for phase in PHASES}
    learning = learning_curves(rows["learning"])
    summary = list(summarise(measured, learning))
    if not any(rows.values()):
        print(f"nothing to report: {output} holds no measurements")
        return
    tables: dict[str, Sequence[Row]] = {
        "summary": summary,
        "gradients": [{"phase": phase} | row for phase in PHASES for row in rows[phase]],
        "learning": rows["learning"],
        "clipping": rows["clipping"],
    }
    for name, table in tables.items():
        if table:
            write_csv(output / "report" / f"{name}.csv", table)
    plots.draw(output / "report", measured, learning, rows["clipping"])
    print("\n".join([HEAD, *map(_describe, summary)]))
    print(f"wrote {output / 'report'}")


def summarise(measured: Mapping[str, Curves], learning: Curves) -> Iterator[Row]:
    """Yield a row for each case and phase, with these columns.

    gradient_first, gradient_last    |dL/dh_t| at the first and the last step
    decay_per_step                   the factor at each step that leads from the last norm to the first
    log10_singular_value             of ds_T/ds_0
    error, steps                     at the end of learning
    """
    for phase, curves in measured.items():
        for case, quantities in curves.items():
            (steps, norms), (times, sigmas) = quantities["gradient_h"], quantities["log10_singular_value"]
            learnt = learning.get(case, {}).get("error") if phase == "trained" else None
            yield case.columns() | {
                "phase": phase,
                "gradient_first": norms[0],
                "gradient_last": norms[-1],
                "decay_per_step": _decay(norms[0], norms[-1], steps[-1] - steps[0]),
                "log10_singular_value": dict(zip(times, sigmas, strict=True))[0.0],
                "error": learnt[1][-1] if learnt else "",
                "steps": int(learnt[0][-1]) if learnt else "",
            }


def _decay(first: float, last: float, steps: float) -> float:
    if first <= 0 or last <= 0:
        return 0.0
    return math.exp((math.log(first) - math.log(last)) / steps)


def _describe(row: Row) -> str:
    error = f"{row['error']:9.3g}" if isinstance(row["error"], float) else ""
    return (
        f"{row['problem']:>11} {row['T']:>4} {row['variant']:>11} {row['phase']:>8} "
        f"{row['gradient_first']:9.2g} {row['gradient_last']:9.2g} {row['decay_per_step']:7.3f} {error}"
    ).rstrip()
