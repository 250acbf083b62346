"""The weights of torch's own recurrent modules, layer by layer, for the cells that are written out."""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

NewCell = TypeVar("NewCell", bound=nn.Module)


class TorchWeights:
    """The weights of one layer: matrices `input` (gates H, C) and `hidden` (gates H, H), biases (gates H).

    Args:
        state_dict: State dict of torch's cell, or of a stack of layers.
        layer: Which layer of a stack, from 0.

    Raises:
        KeyError: There is no such layer.
        ValueError: A layer is more than one cell: it is bidirectional, or it projects.
    """

    def __init__(self, state_dict: Mapping[str, Tensor], layer: int) -> None:
        suffix = "" if "weight_ih" in state_dict else f"_l{layer}"
        if f"weight_ih{suffix}" not in state_dict:
            raise KeyError(f"no layer {layer} of a torch recurrent module among {sorted(state_dict)}")
        unknown = [name for name in state_dict if name.endswith("_reverse") or name.startswith("weight_hr")]
        if unknown:
            raise ValueError(f"bidirectional and projecting modules are not one cell a layer: {unknown}")
        self.input = state_dict[f"weight_ih{suffix}"]
        self.hidden = state_dict[f"weight_hh{suffix}"]
        no_bias = self.input.new_zeros(len(self.input))
        self.input_bias = state_dict.get(f"bias_ih{suffix}", no_bias)
        self.hidden_bias = state_dict.get(f"bias_hh{suffix}", no_bias)
        self.bias = self.input_bias + self.hidden_bias
        self.input_size, self.hidden_size = self.input.shape[1], self.hidden.shape[1]

    def place(self, cell: NewCell) -> NewCell:
        """Move a new cell to the device and dtype of these weights."""
        weight = next(cell.parameters())
        # torch.export cannot follow Module.to, not even where there is nothing to do.
        same = (weight.dtype, weight.device) == (self.input.dtype, self.input.device)
        return cell if same else cell.to(self.input)


def copy_weights(weights: Mapping[nn.Parameter, Tensor]) -> None:
    """Copy values into the parameters of a cell.

    Raises:
        ValueError: The shapes differ.
    """
    with torch.no_grad():
        for parameter, values in weights.items():
            if parameter.shape != values.shape:
                raise ValueError(f"weights are {tuple(values.shape)}, the cell's {tuple(parameter.shape)}")
            parameter.copy_(values)
