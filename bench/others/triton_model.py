"""The model of `triton_steps`, which Triton's Python backend loads."""

from typing import Any

import numpy as np
import triton_python_backend_utils as triton  # of the backend itself

from bench.baselines.step_model import StepModel


class TritonPythonModel:
    """Takes one token of each sequence of a batch."""

    def initialize(self, _: dict[str, Any]) -> None:
        """Load the model."""
        self._model = StepModel()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Step the sequences of a batch."""
        sequences = [_number(request, "CORRID") for request in requests]
        answers = self._model.step(sequences, [_number(request, "x") for request in requests])
        return [triton.InferenceResponse([triton.Tensor("y", np.array([[each]]))]) for each in answers]


def _number(request: Any, name: str) -> int:  # noqa: ANN401  the backend's own class
    return int(triton.get_input_tensor_by_name(request, name).as_numpy().item())
