"""An image in, a sentence out: an image encoder sets the initial state of a word-level language model.

A GRU reads the image row by row. Its last state and the pixels are mapped to an image vector, and that vector to the
decoder's initial hidden and cell state (Vinyals et al. 2015, arXiv:1411.4555, feed it as the first word instead).
"""

from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from training.data.digits import LARGEST, SIZE
from training.models.generation import GenerationModel, GenerationModelSettings
from training.models.streaming import StatefulModule, Tensors
from training.recurrence.cells import GRUCell, unroll
from training.recurrence.initialisation import initialise_torch
from training.settings import Section

START = 0  # the input before the first word of a sentence: the id that ends sentences


class CaptionModelSettings(Section):
    """Sizes and regularisation."""

    row_size: int = Field(default=128, ge=1, description="hidden units of the GRU over the image's rows")
    image_size: int = Field(default=192, ge=1, description="size of the image vector")
    embedding_size: int = Field(default=32, ge=1)
    hidden_size: int = Field(default=128, ge=1, description="hidden units of the decoder")
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="dropout of the image vector and before the decoder's head"
    )


class CaptionModel(StatefulModule):
    """An image encoder, and a decoder that starts from its output.

    Args:
        vocabulary_size: V, the number of words.
        settings: Sizes and regularisation.
    """

    def __init__(self, vocabulary_size: int, settings: CaptionModelSettings) -> None:
        super().__init__()
        H = settings.hidden_size
        self.rows = nn.GRU(SIZE, settings.row_size, batch_first=True)
        initialise_torch(self.rows)
        self.image = nn.Linear(settings.row_size + SIZE * SIZE, settings.image_size)
        self.begin = nn.Linear(settings.image_size, 2 * H)
        self.dropout = nn.Dropout(settings.dropout)
        sizes = GenerationModelSettings(
            embedding_size=settings.embedding_size, hidden_size=H, layers=1, dropout=settings.dropout
        )
        self.decoder = GenerationModel(vocabulary_size, sizes)
        self.cell = self.decoder.cell
        self.state = self.decoder.state

    def forward(self, images: Tensor, words: Tensor) -> Tensor:
        """Return logits (N, T, V) after words, int64 (N, T), given images, float32 (N, 8, 8). The fused path."""
        _, last = self.rows(images / LARGEST)
        logits, _ = self.decoder(words, self._decoder_state(images, last[0]))
        return cast(Tensor, logits)

    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Encode images.

        Args:
            x: Images, float32 (N, 8, 8).
            state: Ignored: an image begins a new sentence.

        Returns:
            No outputs, and the decoder's state before the first word.
        """
        cell = GRUCell.from_torch(self.rows)
        zeros = x.new_zeros(1, cell.hidden_size).expand(x.shape[0], -1)
        (last,) = unroll(cell, cell.project(x / LARGEST).unbind(dim=1), (zeros,))[-1]
        start = torch.full_like(x[:, 0, 0], START, dtype=torch.int64).unsqueeze(1)
        _, begun = self.decoder.unroll(start, self._decoder_state(x, last))
        return {}, begun

    def _decoder_state(self, images: Tensor, last: Tensor) -> Tensors:
        """Return the decoder's initial state, from images (N, 8, 8) and the encoder's last state (N, row_size)."""
        features = torch.cat([last, images.flatten(1) / LARGEST], dim=1)
        vector = self.dropout(torch.relu(self.image(features)))
        h, c = self.begin(vector).chunk(2, dim=1)
        return {"h": torch.tanh(h).unsqueeze(0), "c": c.unsqueeze(0)}
