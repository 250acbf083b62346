"""The shipped forecaster, asked without a session or a server: what it can be asked, and what it keeps."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from service.bundle.manifest import read_bundle
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.errors import InvalidInput
from service.forms.forecasting import ReadingsStep
from service.forms.form import MAX_READING
from service.tasks.forecasting import ForecastingModel
from tests.fakes.graphs import RecordingObserver
from tests.paths import MODELS

pytestmark = pytest.mark.anyio
DAY = np.random.default_rng(0).normal(30, 5, size=24).tolist()
LONGEST = 720


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()


@pytest.fixture
async def model(observer: RecordingObserver) -> AsyncIterator[ForecastingModel]:
    runtime = Runtime(read_bundle(MODELS / "forecasting"))
    engine = Engine(runtime, observer)
    engine.start()
    yield ForecastingModel(runtime.bundle, engine)
    await engine.stop()


async def step(model: ForecastingModel, **inputs: object) -> dict[str, Any]:
    answer, _ = await model.step(model.initial_state(), ReadingsStep.model_validate(inputs), seed=0)
    return answer


async def test_a_forecast_reaches_as_far_as_the_model_does(model: ForecastingModel) -> None:
    values = {"porch": DAY}
    answer = await model.forecast(values, LONGEST, [0.05, 0.95])
    assert len(answer.forecast["porch"].mean) == LONGEST
    for asked in (
        model.forecast(values, LONGEST + 1, []),
        step(model, values=values, horizon=LONGEST + 1),
    ):
        with pytest.raises(InvalidInput, match=r"horizon: the model forecasts at most 720 steps"):
            await asked


@pytest.mark.parametrize("level", [0.049, 0.951])
async def test_a_quantile_lies_between_those_of_the_model(model: ForecastingModel, level: float) -> None:
    values = {"porch": DAY}
    for asked in (
        model.forecast(values, 1, [0.5, level]),
        step(model, values=values, horizon=1, quantiles=[0.5, level]),
    ):
        with pytest.raises(InvalidInput, match=r"quantiles.1: the model gives quantiles from 0.05 to 0.95"):
            await asked


async def test_channels_have_as_many_readings_each_and_stay_the_same(model: ForecastingModel) -> None:
    with pytest.raises(InvalidInput, match=r"series: all channels need the same number of readings, not .*'b': 23"):
        await model.forecast({"a": DAY, "b": DAY[1:]}, 1, [])
    _, state = await model.step(model.initial_state(), ReadingsStep(values={"a": DAY, "b": DAY}), seed=0)
    for other in ({"a": DAY}, {"a": DAY, "b": DAY, "c": DAY}):
        with pytest.raises(InvalidInput, match=r"values: this sequence has the channels \['a', 'b'\]"):
            await model.step(state, ReadingsStep(values=other), seed=0)


async def test_what_was_read_before_a_question_is_read_and_nothing_else(
    model: ForecastingModel, observer: RecordingObserver
) -> None:
    await model.forecast({"porch": DAY * 3 + [1.0]}, 25, [0.5])
    assert observer.steps == 3 + 2


async def test_who_has_read_nothing_forecasts_nothing(model: ForecastingModel) -> None:
    with pytest.raises(InvalidInput, match="horizon: the session has read nothing to forecast from"):
        await step(model, horizon=1)
    with pytest.raises(InvalidInput, match='give "values", "horizon" or both'):
        await step(model)
    assert await step(model, values={"porch": [1.0, 2.0]}) == {"readings": 2}


async def test_a_question_does_not_change_the_state(model: ForecastingModel) -> None:
    values = {"porch": DAY}
    assert model.advancing({"values": values, "horizon": 3, "quantiles": [0.5]}) == {"values": values}
    assert model.advancing({"values": None, "horizon": 3}) == {}
    assert model.advancing({"x": [DAY]}) == {"x": [DAY]}


async def test_segments_are_whole_and_of_readings(model: ForecastingModel) -> None:
    edges = [[MAX_READING, -MAX_READING] * 12]
    assert model.read_tensors({"x": edges}).tolist() == edges
    for x, reason in (
        ([DAY, DAY[1:]], "all segments must have the same number of readings"),
        ([DAY[1:], DAY[1:]], r"x is FP64 \(T, 24\)"),
    ):
        with pytest.raises(InvalidInput, match=f"x: {reason}"):
            model.read_tensors({"x": x})
