"""What each task is served with."""

import numpy as np
import pytest

from export.errors import WrongLadder
from export.recipes.registry import plan
from service.bundle.stage import MAX_RUNG
from tests.export.conftest import Exported


def test_drawn_inputs_have_the_form_that_the_plan_says(exported: Exported) -> None:
    N, T = 2, 3
    for stage in exported.stages:
        drawn = stage.draw(np.random.default_rng(1), N, T)
        assert list(drawn) == [spec.name for spec in stage.inputs]
        for spec in stage.inputs:
            sizes = {"N": N, "T": T}
            assert drawn[spec.name].shape == tuple(sizes.get(axis, axis) for axis in spec.shape)  # type: ignore[call-overload]
            assert drawn[spec.name].dtype == spec.dtype


def test_a_channel_keeps_its_level_from_draw_to_draw(forecasting: Exported) -> None:
    encode, forecast = forecasting.stages
    rng = np.random.default_rng(1)
    first, second = (encode.draw(rng, 5, 2)["x"].mean(axis=(1, 2)) for _ in range(2))
    partial = forecast.draw(rng, 5, 1)["partial"].mean(axis=1)
    assert np.argsort(first).tolist() == np.argsort(second).tolist() == np.argsort(partial).tolist()


def test_the_ladders_of_all_tasks_can_be_served(exported: Exported) -> None:
    for stage in plan(exported.checkpoint.task, exported.model):
        assert max(stage.sizes) <= MAX_RUNG
        assert list(stage.sizes) == sorted(set(stage.sizes))
        assert stage.name != "encode" or 1 in stage.sizes


def test_the_longest_forecast_rung_covers_the_longest_horizon(forecasting: Exported) -> None:
    _, forecast = plan("forecasting", forecasting.model)
    assert max(forecast.sizes) * 24 == 720


def test_a_rung_beyond_the_models_longest_forecast_is_refused(forecasting: Exported) -> None:
    with pytest.raises(WrongLadder, match=r"rungs of forecast must be 1 to 30, the model's longest, not \[1, 31\]"):
        plan("forecasting", forecasting.model, {"forecast": (1, 31)})


@pytest.mark.parametrize(
    "sizes", [{"encode": ()}, {"encode": (0, 1)}, {"encode": (2,)}, {"encoder": (1,)}, {"forecast": ()}]
)
def test_a_ladder_that_cannot_be_served_is_refused(forecasting: Exported, sizes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(WrongLadder):
        plan("forecasting", forecasting.model, sizes)
