"""The weights of torch's own recurrent modules, for the cells that are written out."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class TorchWeights:
    """The weights of one cell or layer: matrices `input` (gates H, C) and `hidden` (gates H, H), biases (gates H).

    Args:
        state_dict: State dict of torch's cell, or of a module of one layer.

    Raises:
        ValueError: The module is more than one cell: it has several layers, is bidirectional, or projects.
    """

    def __init__(self, state_dict: Mapping[str, Tensor]) -> None:
        unknown = [name for name in state_dict if name.endswith(("_l1", "_reverse")) or name.startswith("weight_hr")]
        if unknown:
            raise ValueError(f"stacked, bidirectional and projecting modules are not one cell: {unknown}")
        suffix = "" if "weight_ih" in state_dict else "_l0"
        self.input = state_dict[f"weight_ih{suffix}"]
        self.hidden = state_dict[f"weight_hh{suffix}"]
        no_bias = self.input.new_zeros(len(self.input))
        self.input_bias = state_dict.get(f"bias_ih{suffix}", no_bias)
        self.hidden_bias = state_dict.get(f"bias_hh{suffix}", no_bias)
        self.bias = self.input_bias + self.hidden_bias
        self.input_size, self.hidden_size = self.input.shape[1], self.hidden.shape[1]


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
