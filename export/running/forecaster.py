"""Forecasts with a bundle's graphs, to measure their quality."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.running.rungs import Rungs, cut
from export.stages import as_tensors
from service.bundle.manifest import Bundle
from service.bundle.tasks import ForecastingTask
from service.engine.ladder import covering_rung
from training.models.forecaster import StaticFeatures
from training.models.streaming import Tensors


class GraphForecaster:
    """A forecaster's graphs behind the interface of its torch model, as far as windowed backtests use it.

    Args:
        bundle: A bundle for forecasting.
        rungs: Its opened graphs.
    """

    def __init__(self, bundle: Bundle, rungs: Rungs) -> None:
        self._rungs = rungs
        task = cast(ForecastingTask, bundle.manifest.task)
        self.segment = task.segment
        self.widening = torch.ones(())

    def known_state(self, static_features: StaticFeatures) -> Tensors:
        """Return the state of N channels before their first reading, with their static features."""
        known, fresh = static_features._asdict(), as_tensors(self._rungs.initial_state(len(static_features.unit)))
        return {name: known.get(name, values) for name, values in fresh.items()}

    def unroll(self, x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        """Advance by whole segments, (N, T, S)."""
        stage = self._rungs.stages["encode"]
        known = {spec.name: state[spec.name] for spec in self._rungs.state_specs}
        answer = self._rungs.run_cut(stage, {"x": x.numpy()}, _as_arrays(known), cut(stage.sizes, x.shape[1]))
        return {}, as_tensors(answer.state)

    def forecast(self, state: Tensors, partial: Tensor, filled: Tensor, segments: int) -> Tensors:
        """Forecast the next readings: mean (N, M * S) and quantiles (N, M * S, Q). M is limited by the longest rung."""
        stage = self._rungs.stages["forecast"]
        size = covering_rung(segments, stage.sizes)
        inputs = {"partial": partial.numpy(), "filled": filled.numpy()}
        outputs = as_tensors(self._rungs.run(stage, size, inputs, _as_arrays(state)).outputs)
        return {name: values[:, :segments].flatten(1, 2) for name, values in outputs.items()}


def _as_arrays(tensors: Tensors) -> dict[str, NDArray[np.generic]]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
