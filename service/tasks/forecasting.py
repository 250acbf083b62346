"""Forecasting: readings of any number of channels in, forecasts of their next readings out, at any moment."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from service.bundle.manifest import Bundle
from service.bundle.stage import ITEM_STAGE
from service.bundle.tasks import ForecastingTask, KnownChannel
from service.concurrency.waiting import off_loop
from service.decoding.quantiles import interpolate_quantiles
from service.engine.engine import Engine
from service.engine.state import Array, Inputs
from service.errors import InvalidInput, Location
from service.forms.forecasting import ChannelForecast, ForecastAnswer, ReadingsAnswer, ReadingsStep, SegmentsStep
from service.forms.form import MAX_READING, Form
from service.record.sequence_state import SequenceState
from service.tasks.task import Items, TensorModel, check_alone, validated

Readings = NDArray[np.float64]

TENSOR_CHANNEL = "x"  # the channel of a session whose first step is in tensors
_QUESTION = {"horizon", "quantiles"}  # fields of a step that only ask


class ForecastingModel(TensorModel[ReadingsStep]):
    """A forecaster that reads segments of each channel.

    Every channel is its own row, and all share the weights. Readings that do not fill a segment yet stay pending,
    float64 (channels, pending), and are part of every forecast.
    """

    kind: ClassVar[str] = "forecasting"
    inputs_form: ClassVar[type[ReadingsStep]] = ReadingsStep
    outputs_forms: ClassVar[tuple[type[Form], ...]] = (ReadingsAnswer,)
    tensors_form: ClassVar[type[Form]] = SegmentsStep
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {
        ITEM_STAGE: ("x",),
        "forecast": ("partial", "filled", "mean", "quantiles"),
    }

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        task = self.spec(ForecastingTask)
        self._segment = task.segment
        self._levels = task.quantiles
        self._max_horizon = task.max_horizon
        self._known = {
            _composed(channel.name): self._row_of(number, channel) for number, channel in enumerate(task.channels, 1)
        }

    def initial_state(self) -> SequenceState:
        return SequenceState()

    def advancing(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in inputs.items() if name not in _QUESTION and value is not None}

    def read_tensors(self, inputs: dict[str, Any]) -> Array:
        check_alone(inputs, "x")
        rows = validated(SegmentsStep, inputs).x
        if len({len(row) for row in rows}) > 1:
            raise InvalidInput("all segments must have the same number of readings", ("x",))
        values = np.array(rows, dtype=np.float64)
        self.check_tensors(values)
        return values

    def check_tensors(self, values: Array) -> None:
        if values.dtype != np.float64 or values.ndim != 2 or values.shape[1] != self._segment:
            raise InvalidInput(f"x is FP64 (T, {self._segment}) for each session, segments of readings", ("x",))
        if not (np.abs(values) <= MAX_READING).all():
            raise InvalidInput(f"readings must be numbers from {-MAX_READING:g} to {MAX_READING:g}", ("x",))

    def items(self, state: SequenceState, values: Array) -> Items:
        if state.pending:
            raise InvalidInput("the session has readings that fill no segment yet: send them as values", ("x",))
        if not state.labels:
            state = self._opened((TENSOR_CHANNEL,))
        if len(state.labels) > 1:
            raise InvalidInput(f"x is one channel; this session has {list(state.labels)}", ("x",))
        return Items(values, 0, state)

    async def forecast(
        self, series: Mapping[str, Sequence[float]], horizon: int, quantiles: Sequence[float]
    ) -> ForecastAnswer:
        """Forecast whole series.

        Args:
            series: Readings of each channel at equal time steps, the latest last, the same number of each.
            horizon: How many readings ahead.
            quantiles: Levels to return.

        Raises:
            InvalidInput: The channels differ in length, or the horizon or a level is out of the model's range.
            QueueFull: The engine's queue has no room.
            ShuttingDown: The worker is shutting down.
        """
        self._check_question(horizon, quantiles)
        state = await self._read(self.initial_state(), series, ("series",))
        forecast = await self._forecast(state, horizon, quantiles)
        return ForecastAnswer(forecast=forecast, bundle=self.bundle.tag)

    async def step(self, state: SequenceState, inputs: ReadingsStep, seed: int) -> tuple[dict[str, Any], SequenceState]:
        if inputs.values is None and inputs.horizon is None:
            raise InvalidInput('give "values", "horizon" or both')
        if inputs.horizon is not None:
            self._check_question(inputs.horizon, inputs.quantiles)
        if inputs.values is not None:
            state = await self._read(state, inputs.values, ("values",))
        forecast = None
        if inputs.horizon is not None:
            if not state.labels:
                raise InvalidInput("the session has read nothing to forecast from", ("horizon",))
            forecast = await self._forecast(state, inputs.horizon, inputs.quantiles)
        answer = ReadingsAnswer(readings=state.position + self._pending(state).shape[1], forecast=forecast)
        return answer.model_dump(exclude_none=True), state

    def _check_question(self, horizon: int, quantiles: Sequence[float]) -> None:
        if horizon > self._max_horizon:
            raise InvalidInput(f"the model forecasts at most {self._max_horizon} steps", ("horizon",))
        low, high = self._levels[0], self._levels[-1]
        for index, level in enumerate(quantiles):
            if not low <= level <= high:
                raise InvalidInput(f"the model gives quantiles from {low} to {high}", ("quantiles", index))

    async def _read(
        self, state: SequenceState, series: Mapping[str, Sequence[float]], location: Location
    ) -> SequenceState:
        """Return the state after more readings of every channel."""
        state = state if state.labels else self._opened(tuple(series))
        self._check_channels(state, series, location)
        new = np.array([series[label] for label in state.labels], dtype=np.float64)
        readings = np.concatenate([self._pending(state), new], axis=1)
        num_segments = readings.shape[1] // self._segment
        whole, pending = np.split(readings, [num_segments * self._segment], axis=1)
        if num_segments:
            items = whole.reshape(len(state.labels), num_segments, self._segment)
            inputs, num_items = [{"x": x} for x in items], [num_segments] * len(items)
            advances = await self.engine.advance_all(ITEM_STAGE, state.rows, inputs, num_items)
            rows = tuple(advance.row for advance in advances)
            state = state._replace(rows=rows, position=state.position + whole.shape[1])
        return state._replace(pending=pending.tobytes())

    async def _forecast(
        self, state: SequenceState, horizon: int, quantiles: Sequence[float]
    ) -> dict[str, ChannelForecast]:
        """Forecast each channel, starting after its latest reading."""
        pending = self._pending(state)
        inputs: list[Inputs] = [self._partial(readings) for readings in pending]
        num_items = [-(-horizon // self._segment)] * len(inputs)
        advances = await self.engine.advance_all("forecast", state.rows, inputs, num_items, keep=["mean", "quantiles"])
        size = horizon * len(quantiles) * len(advances)
        answers = await off_loop(
            size,
            lambda: [
                self._channel(label, each.outputs, horizon, quantiles)
                for label, each in zip(state.labels, advances, strict=True)
            ],
        )
        return dict(zip(state.labels, answers, strict=True))

    def _partial(self, readings: Readings) -> Inputs:
        partial = np.zeros(self._segment)
        partial[: len(readings)] = readings
        return {"partial": partial, "filled": np.array(len(readings))}

    def _channel(self, label: str, outputs: Inputs, horizon: int, quantiles: Sequence[float]) -> ChannelForecast:
        mean = outputs["mean"].reshape(-1)[:horizon]
        known = outputs["quantiles"].reshape(-1, len(self._levels))[:horizon]
        asked = interpolate_quantiles(known, self._levels, quantiles)
        return ChannelForecast(
            known=_composed(label) in self._known,
            mean=mean.tolist(),
            quantiles={str(level): values.tolist() for level, values in zip(quantiles, asked.T, strict=True)},
        )

    def _opened(self, channels: tuple[str, ...]) -> SequenceState:
        """Return the state of a sequence with these channels that has read nothing."""
        return SequenceState(
            rows=tuple(self._known.get(_composed(name), self.layout.initial) for name in channels), labels=channels
        )

    def _row_of(self, number: int, channel: KnownChannel) -> bytes:
        """Return the initial row of a known channel, with those of its numbers that the model's state has."""
        numbers = {
            "channel": np.array([[number]]),
            "center": np.array([[channel.center]]),
            "unit": np.array([[channel.unit]]),
        }
        kept = {tensor.name: numbers[tensor.name] for tensor in self.bundle.manifest.state if tensor.name in numbers}
        (row,) = self.layout.batch([self.layout.initial]).replaced(kept)
        return row

    def _check_channels(self, state: SequenceState, series: Mapping[str, Sequence[float]], location: Location) -> None:
        if set(series) != set(state.labels):
            raise InvalidInput(f"this sequence has the channels {list(state.labels)}, not {list(series)}", location)
        lengths = {label: len(values) for label, values in series.items()}
        if len(set(lengths.values())) > 1:
            raise InvalidInput(f"all channels need the same number of readings, not {lengths}", location)

    def _pending(self, state: SequenceState) -> Readings:
        return np.frombuffer(state.pending, dtype=np.float64).reshape(len(state.labels), -1)


def _composed(name: str) -> str:
    """Return a name with each letter and its accents as one character, however they were typed (Unicode's NFC)."""
    return normalize("NFC", name)
