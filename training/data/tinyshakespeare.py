"""Tinyshakespeare: 40,000 lines of Shakespeare, 1,115,394 characters of which 65 are distinct (Karpathy 2015)."""

from training.data import source
from training.data.source import DataSource, LocalFile

SOURCE = DataSource(
    name="tinyshakespeare",
    address=(
        "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
        "/data/tinyshakespeare/input.txt"
    ),
    sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    licence="text in the public domain; the repository that publishes it states no licence",
    citation="Andrej Karpathy, The Unreasonable Effectiveness of Recurrent Neural Networks, 2015",
)
LOCAL = LocalFile("textgen/tinyshakespeare.txt", SOURCE.sha256)

TRAIN_FRACTION = 0.9


def load() -> str:
    """Load the whole text."""
    return source.read_text(source.find(LOCAL, SOURCE))


def split(text: str) -> dict[str, str]:
    """Split a text contiguously, as usual: the first 90 % is train, the last 10 % dev. There is no test part."""
    boundary = int(TRAIN_FRACTION * len(text))
    return {"train": text[:boundary], "dev": text[boundary:]}
