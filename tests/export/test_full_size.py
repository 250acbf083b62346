"""Bits of forecasts by networks of the shipped sizes: what is wide or long enough may be computed in another order."""

from pathlib import Path

import numpy as np
import pytest

from export.running.rungs import differing_values, take_rows
from tests.export.conftest import export_small

ROWS = 64
SIZES = {"forecasting": {"hidden_size": 256, "embedding_size": 128}, "forecasting-window": {"hidden_size": 256}}


@pytest.mark.parametrize("task", SIZES)
def test_a_forecast_of_thirty_segments_has_its_bits_in_any_batch(task: str, tmp_path: Path) -> None:
    exported = export_small(tmp_path, task, SIZES[task], {"encode": (1,), "forecast": (30,)})
    rungs, rng = exported.open(), np.random.default_rng(0)
    encode, forecast = exported.stages
    state = rungs.run(encode, 1, encode.draw(rng, ROWS, 1), rungs.initial_state(ROWS)).state
    inputs = forecast.draw(rng, ROWS, 30)
    together = rungs.run(forecast, 30, inputs, state).outputs
    for N in (1, 3, 7, 16):
        for start in range(0, ROWS, N):
            rows = np.arange(start, min(start + N, ROWS))
            few = take_rows(forecast.inputs, inputs, rows), take_rows(rungs.state_specs, state, rows)
            found = rungs.run(forecast, 30, *few).outputs
            assert differing_values(found, take_rows(forecast.outputs, together, rows)) == 0
