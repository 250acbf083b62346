"""Steps of the shipped forecaster: readings by value and by segment are the same readings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from service.bundle.manifest import read_bundle
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.errors import InvalidInput
from service.forms.sessions import SessionRequest
from service.steps.turn import Answer, Ask
from service.tasks.forecasting import ForecastingModel
from tests.fakes.graphs import RecordingObserver
from tests.fakes.process import Process, outputs
from tests.paths import MODELS

pytestmark = pytest.mark.anyio
SEGMENT = 24
READINGS = np.random.default_rng(0).normal(30, 5, size=7 * SEGMENT)


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(read_bundle(MODELS / "forecasting"))


@pytest.fixture
async def serving(process: Process, runtime: Runtime) -> Process:
    process.catalog.add(ForecastingModel(runtime.bundle, Engine(runtime, RecordingObserver())))
    process.catalog.make_current(runtime.bundle.tag)
    return process


async def opened(process: Process) -> str:
    return (await process.openings.create("ann", SessionRequest(model="forecasting"))).session_id


async def step(process: Process, session_id: str, **inputs: Any) -> Answer:  # noqa: ANN401
    return await process.steps.take(Ask("ann", session_id, inputs=inputs))


def segments(readings: Sequence[float]) -> list[list[float]]:
    return np.reshape(readings, (-1, SEGMENT)).tolist()


async def test_segments_are_the_readings_of_one_channel_that_is_called_x(serving: Process) -> None:
    by_value, by_segment = await opened(serving), await opened(serving)
    await step(serving, by_value, values={"x": READINGS.tolist()})
    for part in np.split(READINGS, [3 * SEGMENT, 4 * SEGMENT]):
        assert outputs(await step(serving, by_segment, x=segments(part))) == {}
    forecasts = [await step(serving, each, horizon=30) for each in (by_value, by_segment)]
    assert forecasts[0].outputs == forecasts[1].outputs
    assert outputs(forecasts[0])["readings"] == len(READINGS)


async def test_a_channel_is_known_by_its_name_however_it_was_typed(serving: Process) -> None:
    model = serving.catalog["forecasting"]
    assert isinstance(model, ForecastingModel)
    model._known["H\u00fcte"] = model._known["OT"]
    series = {name: READINGS.tolist() for name in ("OT", "Hu\u0308te", "x")}
    forecast = (await model.forecast(series, 3, [0.5])).forecast
    assert [forecast[name].known for name in series] == [True, True, False]
    assert forecast["OT"] == forecast["Hu\u0308te"]
    assert forecast["OT"].mean != forecast["x"].mean


async def test_segments_wait_for_pending_readings_to_fill_one(serving: Process) -> None:
    session_id = await opened(serving)
    await step(serving, session_id, values={"OT": READINGS[:5].tolist()})
    with pytest.raises(InvalidInput, match="fill no segment"):
        await step(serving, session_id, x=segments(READINGS[:SEGMENT]))
    await step(serving, session_id, values={"OT": READINGS[5:SEGMENT].tolist()})
    await step(serving, session_id, x=segments(READINGS[SEGMENT:]))
    whole = await opened(serving)
    await step(serving, whole, values={"OT": READINGS.tolist()})
    assert (await step(serving, whole, horizon=3)).outputs == (await step(serving, session_id, horizon=3)).outputs


async def test_segments_of_a_session_with_several_channels_are_refused(serving: Process) -> None:
    session_id = await opened(serving)
    await step(serving, session_id, values={"a": READINGS[:SEGMENT].tolist(), "b": READINGS[:SEGMENT].tolist()})
    with pytest.raises(InvalidInput, match="one channel"):
        await step(serving, session_id, x=segments(READINGS[:SEGMENT]))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((2, SEGMENT - 1)),
        np.zeros(SEGMENT),
        np.zeros((1, 2, SEGMENT)),
        np.zeros((2, SEGMENT), np.int64),
        np.full((1, SEGMENT), np.nan),
        np.full((1, SEGMENT), np.inf),
        np.full((1, SEGMENT), 1e13),
    ],
)
async def test_tensors_that_are_no_segments_of_numbers_are_refused(serving: Process, values: np.ndarray) -> None:
    session_id = await opened(serving)
    with pytest.raises(InvalidInput):
        await serving.steps.take(Ask("ann", session_id, values=values))
    with pytest.raises(InvalidInput, match=r"^return: .* no logits"):
        await serving.steps.take(Ask("ann", session_id, values=np.zeros((1, SEGMENT)), returns="logits"))
    with pytest.raises(InvalidInput, match=r"^return: only a step in tensors"):
        await serving.steps.take(Ask("ann", session_id, inputs={"values": {"x": [1.0]}}, returns="none"))
    assert (await serving.steps.take(Ask("ann", session_id, values=np.zeros((1, SEGMENT))))).step == 1


async def test_a_channel_is_known_again_by_its_name(serving: Process) -> None:
    session_id = await opened(serving)
    same = READINGS[: 4 * SEGMENT].tolist()
    answer = await step(serving, session_id, values={"OT": same, "mine": same, "yours": same}, horizon=48)
    forecast = outputs(answer)["forecast"]
    assert forecast["mine"] == forecast["yours"]
    assert forecast["OT"] != forecast["mine"]


async def test_segments_come_without_values(serving: Process) -> None:
    session_id = await opened(serving)
    inputs = {"x": [READINGS[:SEGMENT].tolist()], "horizon": 1}
    with pytest.raises(InvalidInput, match="inputs: give x alone, or horizon without x"):
        await serving.steps.take(Ask("ann", session_id, None, inputs))
