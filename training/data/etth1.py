"""ETTh1: two years of hourly data from a transformer station in China: six loads and the oil temperature (OT).

Papers use the first 20 months of 30 days: 12 for training, 4 for validation, 4 for testing. The rest is unused here,
too. This module knows the file and the borders of the splits, not models or windows.
"""

from training.data import table
from training.data.series import Protocol, PublishedSeries, Series
from training.data.source import DataSource, LocalFile, load_text
from training.data.table import Table

SOURCE = DataSource(
    name="ETTh1",
    address="https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/ETTh1.csv",
    sha256="f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    licence="CC BY-ND 4.0",
    citation="Zhou et al. 2021, Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting, AAAI",
)
FILE = LocalFile("forecasting/ETTh1.csv.gz", SOURCE.sha256)

HOURS_PER_MONTH = 30 * 24
SPLITS = {
    "train": range(12 * HOURS_PER_MONTH),
    "dev": range(12 * HOURS_PER_MONTH, 16 * HOURS_PER_MONTH),
    "test": range(16 * HOURS_PER_MONTH, 20 * HOURS_PER_MONTH),
}
CHANNELS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
PROTOCOL = Protocol(look_back=96, horizons=(96, 192, 336, 720), naive_season=24)


def load() -> Table:
    """Load the whole table, from UNROLLED_DATA_DIR or downloaded once.

    Raises:
        DataError: The file is missing, is not the published one, or cannot be read.
    """
    return table.parse(*load_text(SOURCE, FILE))


def series() -> Series:
    """Load the table with its splits and protocol."""
    return Series(load(), SPLITS, PROTOCOL)


PUBLISHED = PublishedSeries(SOURCE, CHANNELS, "1 hour", PROTOCOL, series)
