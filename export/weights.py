"""Prepares a trained model for export: replaces torch's fused modules by cells, rounds matrices to float16."""

import copy

from torch import nn

from training.recurrence.cells import cell_of


def prepare(model: nn.Module) -> nn.Module:
    """Return a copy of a model with rounded weights and cells. It is traced, and the reference of the parity proof.

    Raises:
        ValueError: A recurrent torch module is stacked, bidirectional or projecting, which no cell is.
    """
    prepared = rounded(model)
    _replace_torch_modules(prepared)
    return prepared


def rounded(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, with matrices rounded to float16. Vectors are too small to matter."""
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    for parameter in copied.parameters():
        if parameter.ndim >= 2:
            parameter.copy_(parameter.half())
    return copied


def _replace_torch_modules(model: nn.Module) -> None:
    """Convert the weights to cells once. Otherwise every graph would contain the conversion."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.RNNBase):
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, cell_of(module).requires_grad_(False))
