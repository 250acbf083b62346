"""The log of a run's metrics: metrics.csv, TensorBoard events and a plot of the curves.

Everything is written from the run's history, one row per epoch, so a resumed run leaves the same files as an
uninterrupted one (TensorBoard hides the earlier events of an epoch that is repeated).
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from training.checkpoint import replace_file
from training.plots.curves import draw_curves

Row = Mapping[str, float]


class MetricsLog:
    """Writes the history of a run into its directory.

    Args:
        directory: Directory of the run.
        title: Title of the plot.
        units: Unit of each metric, for its axis.
    """

    def __init__(self, directory: Path, title: str, units: Mapping[str, str]) -> None:
        self._directory = directory
        self._title = title
        self._units = units
        self._writer: SummaryWriter | None = None

    def write(self, history: Sequence[Row]) -> None:
        """Write the history after an epoch, whose metrics are its last row."""
        self._write_csv(history)
        writer = self._open(int(history[-1]["epoch"]))
        for name, value in history[-1].items():
            if name != "epoch":
                writer.add_scalar(name, value, int(history[-1]["epoch"]))
        writer.flush()

    def _write_csv(self, history: Sequence[Row]) -> None:
        replace_file(self._directory / "metrics.csv", _as_csv(history).encode())

    def _open(self, epoch: int) -> SummaryWriter:
        if self._writer is None:
            self._writer = SummaryWriter(str(self._directory / "tensorboard"), purge_step=epoch)
        return self._writer

    def close(self, history: Sequence[Row]) -> None:
        """Draw the curves and close the files. Rewrites the CSV, since an interruption may have cut it short."""
        if history:
            self._write_csv(history)
            draw_curves(self._directory / "curves.png", self._title, history, self._units)
        if self._writer is not None:
            self._writer.close()


def _as_csv(history: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
