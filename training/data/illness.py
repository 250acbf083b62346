"""ILI: weekly visits for influenza-like illness in the United States, 2002 to 2020, split 70/10/20 as in Autoformer."""

from training.data import table
from training.data.series import Protocol, PublishedSeries, Series, shares
from training.data.source import DataSource, LocalFile, load_text

SOURCE = DataSource(
    name="national_illness",
    address=(
        "https://raw.githubusercontent.com/junwoopark92/Self-Supervised-Contrastive-Forecsating/"
        "f394705adbf5217811276f5e59576c6e7ea7586c/dataset/illness/national_illness.csv"
    ),
    sha256="8594cecb98c6f2f9dc014eca11c4d5d1e38ad5ce6ed0592d4abe65b146fce395",
    licence="US government data",
    citation="Centers for Disease Control and Prevention, FluView",
)
FILE = LocalFile("forecasting/national_illness.csv", SOURCE.sha256)

CHANNELS = (
    "% WEIGHTED ILI",
    "%UNWEIGHTED ILI",
    "AGE 0-4",
    "AGE 5-24",
    "ILITOTAL",
    "NUM. OF PROVIDERS",
    "OT",
)
PROTOCOL = Protocol(look_back=36, horizons=(24, 36, 48, 60), naive_season=52)


def series() -> Series:
    """Load the table with its splits and protocol."""
    whole = table.parse(*load_text(SOURCE, FILE))
    return Series(whole, shares(len(whole.readings)), PROTOCOL)


PUBLISHED = PublishedSeries(SOURCE, CHANNELS, "1 week", PROTOCOL, series)
