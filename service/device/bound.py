"""A graph at one batch size, with inputs and outputs at fixed addresses on a device. Decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort

from service.device.device import host_values
from service.engine.state import Array


@dataclass(frozen=True)
class WordView:
    """A tensor of any dtype whose memory a graph reads or writes as float32, in words of four bytes.

    Attributes:
        tensor: The tensor.
        shape: Its shape in words.
        memory: onnxruntime's name for the memory that holds it.
    """

    tensor: ort.OrtValue
    shape: tuple[int, ...]
    memory: str


Bindable: TypeAlias = WordView | Any  # an OrtValue: onnxruntime has no types


class BoundGraph:
    """A graph and its tensors, bound once.

    Args:
        session: The opened graph.
        inputs: Every input.
        outputs: Every output.
        capture: Number of the session's recording, if its provider records runs. Each batch size needs its own.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        inputs: Mapping[str, ort.OrtValue],
        outputs: Mapping[str, Bindable],
        capture: int,
    ) -> None:
        self._session = session
        self._inputs = inputs
        self._outputs = outputs
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(capture))
        self._binding = session.io_binding()
        bind_inputs(self._binding, inputs)
        bind_outputs(self._binding, outputs)

    def put(self, name: str, values: Array, batch_axis: int = 0) -> None:
        """Copy an input from the host, padding missing rows with zeros.

        Args:
            name: Name of the input.
            values: Its values, of the bound tensor's dtype, with at most as many rows.
            batch_axis: Position of N in its shape.
        """
        tensor = self._inputs[name]
        tensor.update_inplace(_padded(values, tensor.shape()[batch_axis], batch_axis))

    def run(self) -> None:
        """Compute the outputs from the inputs."""
        self._session.run_with_iobinding(self._binding, self._options)
        self._binding.synchronize_outputs()

    def get(self, name: str, num_rows: int, batch_axis: int) -> Array:
        """Return the first `num_rows` rows of an output, in host memory. N is at `batch_axis`."""
        values = host_values(self._outputs[name])
        return values[(slice(None),) * batch_axis + (slice(num_rows),)]


def bind_inputs(binding: ort.IOBinding, inputs: Mapping[str, Bindable]) -> None:
    """Bind tensors as a graph's inputs."""
    for name, tensor in inputs.items():
        if isinstance(tensor, WordView):
            binding.bind_input(name, tensor.memory, 0, np.float32, tensor.shape, tensor.tensor.data_ptr())
        else:
            binding.bind_ortvalue_input(name, tensor)


def bind_outputs(binding: ort.IOBinding, outputs: Mapping[str, Bindable]) -> None:
    """Bind tensors as a graph's outputs."""
    for name, tensor in outputs.items():
        if isinstance(tensor, WordView):
            binding.bind_output(name, tensor.memory, 0, np.float32, tensor.shape, tensor.tensor.data_ptr())
        else:
            binding.bind_ortvalue_output(name, tensor)


def _padded(values: Array, num_rows: int, batch_axis: int) -> Array:
    """Return the values, padded with rows of zeros up to `num_rows`, in C order."""
    if values.shape[batch_axis] == num_rows:
        return np.ascontiguousarray(values)
    shape = list(values.shape)
    shape[batch_axis] = num_rows
    filled = np.zeros(shape, values.dtype)
    filled[(slice(None),) * batch_axis + (slice(values.shape[batch_axis]),)] = values
    return filled
