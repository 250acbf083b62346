"""Exchange: daily rates of eight currencies, 1990 to 2010, split 70/10/20 as in Autoformer and later papers.

There is no season, so the naive forecast repeats the last reading. Published models hardly beat it.
"""

from training.data import table
from training.data.series import Protocol, PublishedSeries, Series, shares
from training.data.source import DataSource, LocalFile, load_text

SOURCE = DataSource(
    name="exchange_rate",
    address=(
        "https://raw.githubusercontent.com/junwoopark92/Self-Supervised-Contrastive-Forecsating/"
        "f394705adbf5217811276f5e59576c6e7ea7586c/dataset/exchange_rate/exchange_rate.csv"
    ),
    sha256="d55e7aa2641009814a18ba3279431b13f6d413b0eab195b9ff21988d8cf94e97",
    licence="none stated",
    citation="Lai et al. 2018, Modeling Long- and Short-Term Temporal Patterns with Deep Neural Networks, SIGIR",
)
FILE = LocalFile("forecasting/exchange_rate.csv.gz", SOURCE.sha256)

CHANNELS = ("0", "1", "2", "3", "4", "5", "6", "OT")
PROTOCOL = Protocol(look_back=96, horizons=(96, 192, 336, 720), naive_season=1)


def series() -> Series:
    """Load the table with its splits and protocol."""
    whole = table.parse(*load_text(SOURCE, FILE))
    return Series(whole, shares(len(whole.readings)), PROTOCOL)


PUBLISHED = PublishedSeries(SOURCE, CHANNELS, "1 day", PROTOCOL, series)
