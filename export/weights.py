"""A trained model made ready for its graphs: cells instead of torch's fused modules, matrices rounded to float16."""

import copy

import torch
from torch import nn

from training.cells import GRUCell, LSTMCell, VanillaCell


def prepare(model: nn.Module) -> nn.Module:
    """A copy of a model whose numbers are those of the graphs to come: what parity is proved on."""
    prepared = copy.deepcopy(model).eval().requires_grad_(False)
    _replace_torch_modules(prepared)
    _round_matrices(prepared)
    return prepared


def _replace_torch_modules(model: nn.Module) -> None:
    """Lay the weights out as cells once, or every graph would hold the copying."""
    for name, module in list(model.named_modules()):
        cell = _cell(module)
        if cell is not None:
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, cell.requires_grad_(False))


def _cell(module: nn.Module) -> nn.Module | None:
    if not isinstance(module, nn.RNNBase) or module.num_layers > 1 or module.bidirectional:
        return None
    match module:
        case nn.RNN():
            return VanillaCell.from_torch(module)
        case nn.GRU():
            return GRUCell.from_torch(module)
        case nn.LSTM():
            return LSTMCell.from_torch(module)
    return None


def _round_matrices(model: nn.Module) -> None:
    """Round every weight of two or more axes to the nearest float16; vectors are small and stay as they are."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.copy_(parameter.half())
