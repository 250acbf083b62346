"""Prepares a trained model for export: replaces torch's fused modules by cells, rounds matrices to float16."""

import copy

import torch
from torch import nn

from export.errors import NotFinite
from training.recurrence.cells import cell_of


def prepare(model: nn.Module) -> nn.Module:
    """Return a copy of a model with rounded weights and cells. It is traced, and the reference of the parity proof.

    Raises:
        NotFinite: A weight is no finite number, or a matrix's is none as float16.
        ValueError: A recurrent torch module is stacked, bidirectional or projecting, which no cell is.
    """
    prepared = rounded(model)
    _check_finite(prepared, model)
    _replace_torch_modules(prepared)
    return prepared


def rounded(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, with matrices rounded to float16. Vectors are too small to matter."""
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    for parameter in copied.parameters():
        if parameter.ndim >= 2:
            parameter.copy_(parameter.half())
    return copied


def _check_finite(rounded_model: nn.Module, model: nn.Module) -> None:
    for (name, weights), trained in zip(rounded_model.named_parameters(), model.parameters(), strict=True):
        if bool(torch.isfinite(weights).all()):
            continue
        if not torch.isfinite(trained).all():
            raise NotFinite(f"{name} has a weight that is not a finite number")
        largest, limit = float(trained.detach().abs().max()), torch.finfo(torch.float16).max
        raise NotFinite(
            f"{name} has a weight of size {largest:g}; matrices are rounded to float16, which ends at {limit:,.0f}"
        )


def _replace_torch_modules(model: nn.Module) -> None:
    """Convert the weights to cells once. Otherwise every graph would contain the conversion."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.RNNBase):
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, cell_of(module).requires_grad_(False))
