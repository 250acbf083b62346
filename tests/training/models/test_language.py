"""Every cell that the settings offer has a model, whose two passes are the same."""

from typing import get_args

import pytest
import torch

from training.models.generation import Cell, GenerationModelSettings
from training.models.language import language_model

V, N, T, C, H = 11, 2, 6, 5, 7


@pytest.mark.parametrize("cell", get_args(Cell))
@torch.no_grad()
def test_the_pass_that_trains_gives_what_the_exported_one_gives(cell: Cell) -> None:
    torch.manual_seed(1)
    settings = GenerationModelSettings(cell=cell, embedding_size=C, hidden_size=H, layers=2)
    model = language_model(V, settings).eval()
    for weight in model.parameters():
        weight.uniform_(-0.5, 0.5)
    assert model.cell == cell
    unrolled = trained = model.initial_state(N)
    for _ in range(3):
        x = torch.randint(V, (N, T))
        outputs, unrolled = model.unroll(x, unrolled)
        logits, trained = model(x, trained)
        torch.testing.assert_close(outputs["logits"], logits, rtol=0, atol=1e-5)
        torch.testing.assert_close(unrolled, trained, rtol=0, atol=1e-5)
