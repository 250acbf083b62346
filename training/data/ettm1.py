"""ETTm1: ETTh1's transformer station, every 15 minutes."""

from training.data import etth1, table
from training.data.series import Protocol, PublishedSeries, Series
from training.data.source import DataSource, LocalFile, load_text

SOURCE = DataSource(
    name="ETTm1",
    address="https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/ETTm1.csv",
    sha256="6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e",
    licence=etth1.SOURCE.licence,
    citation=etth1.SOURCE.citation,
)
FILE = LocalFile("forecasting/ETTm1.csv.gz", SOURCE.sha256)

SPLITS = {name: range(4 * rows.start, 4 * rows.stop) for name, rows in etth1.SPLITS.items()}
PROTOCOL = Protocol(look_back=96, horizons=(96, 192, 336, 720), naive_season=96)


def series() -> Series:
    """Load the table with its splits and protocol."""
    return Series(table.parse(*load_text(SOURCE, FILE)), SPLITS, PROTOCOL)


PUBLISHED = PublishedSeries(SOURCE, etth1.CHANNELS, "15 minutes", PROTOCOL, series)
