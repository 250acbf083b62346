"""What docs/own-weights.md tells people to type: its blocks, and networks as they are before."""

import re
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from tests.paths import ROOT

PAGE = ROOT / "docs/own-weights.md"


def blocks(language: str) -> list[str]:
    """The page's blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run_script(script: str, directory: Path) -> None:
    """Run one of the page's scripts in a directory."""
    done = subprocess.run(  # noqa: S603  the page's own words
        [sys.executable, "-c", script], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


class Recurrent(nn.Module):
    """What people have: an embedding, an LSTM and a linear layer over every hidden state."""

    def __init__(self, vocabulary_size: int, outputs: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, 8)
        self.lstm = nn.LSTM(8, 16, layers, batch_first=True)
        self.head = nn.Linear(16, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, T, outputs) of ids x (N, T), from a fresh state."""
        logits: torch.Tensor = self.head(self.lstm(self.embedding(x))[0])
        return logits


def saved(network: Recurrent, directory: Path) -> Recurrent:
    """Save a network's weights as its owner does."""
    torch.save(network.state_dict(), directory / "model.pt")
    return network.eval()


def write_bundle(directory: Path, words: list[str]) -> Recurrent:
    """Make the bundle of the page from a network with random weights; the network."""
    torch.manual_seed(1)
    network = saved(Recurrent(len(words), outputs=3, layers=1), directory)
    (directory / "words.txt").write_text("\n".join(words), encoding="utf-8")
    _, graphs, checksums = blocks("python")
    run_script(graphs, directory)
    (directory / "mails" / "manifest.json").write_text(blocks("json")[1], encoding="utf-8")
    run_script(checksums, directory)
    return network
