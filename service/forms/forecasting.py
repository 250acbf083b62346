"""Readings to forecast, and the answers."""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from service.forms.form import BundleTag, Form, Question, Reading, requires_field
from service.forms.steps import MAX_STEP_ITEMS

A_DAY = [20, 19, 18, 18, 19, 21, 24, 27, 30, 32, 34, 35, 36, 36, 35, 33, 31, 29, 27, 25, 24, 23, 22, 21]
MAX_READINGS = 100_000
MAX_CHANNELS = 512
MAX_NAME_CHARACTERS = 200


def checked_names(series: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return a series whose channels have valid names.

    Checked here because pydantic reports a bad key at a location inside the key.

    Raises:
        ValueError: A name is empty or too long.
    """
    if not all(1 <= len(name) <= MAX_NAME_CHARACTERS for name in series):
        raise ValueError(f"a channel's name has 1 to {MAX_NAME_CHARACTERS} characters")
    return series


Series = Annotated[
    dict[str, Annotated[list[Reading], Field(fail_fast=True, min_length=1, max_length=MAX_READINGS)]],
    Field(
        min_length=1,
        max_length=MAX_CHANNELS,
        json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": MAX_NAME_CHARACTERS}},
    ),
    AfterValidator(checked_names),
]
Quantile = Annotated[float, Field(gt=0, lt=1)]
Quantiles = Annotated[list[Quantile], Field(max_length=32, description="Quantiles to return, each between 0 and 1")]
DEFAULT_QUANTILES = [0.1, 0.5, 0.9]
Horizon = Annotated[int, Field(ge=1, le=2**31 - 1)]


class ForecastRequest(Question):
    """Readings of one or more channels at equal steps of time, the latest last."""

    series: Series = Field(
        examples=[{"porch": A_DAY}],
        description="Readings of each channel, by channel name; all channels have the same number. The bundles that "
        "ship know hourly readings with a daily season: send at least a day, and differences of trends and counters",
    )
    horizon: Horizon = Field(24, description="Number of future readings to forecast")
    quantiles: Quantiles = Field(DEFAULT_QUANTILES)


class ChannelForecast(Form):
    """What a channel is expected to read, step by step after its latest reading."""

    known: bool = Field(description="Whether the model knows the channel, and so its usual level, by its name")
    mean: list[float] = Field(description="Expected value of each future reading: `horizon` numbers")
    quantiles: dict[str, list[float]] = Field(
        description='A list of `horizon` numbers for each requested quantile, keyed by the quantile as a string: "0.1"'
    )


class ForecastAnswer(Form):
    """A forecast for each channel."""

    forecast: dict[str, ChannelForecast] = Field(description="Forecast of each channel, by channel name")
    bundle: BundleTag


class ReadingsStep(Form):
    """Readings as they come, or how far to forecast from the latest, or both."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [requires_field("values"), requires_field("horizon")],
            "dependentSchemas": {"quantiles": requires_field("horizon")},
        }
    )

    values: Series | None = Field(
        None, description="Readings of each channel, by channel name; the first step names the session's channels"
    )
    horizon: Horizon | None = Field(None, description="Number of future readings to forecast; null: no forecast")
    quantiles: Quantiles = Field(DEFAULT_QUANTILES)

    @model_validator(mode="before")
    @classmethod
    def _not_a_series(cls, fields: Any) -> Any:  # noqa: ANN401  whatever JSON can hold
        if isinstance(fields, dict) and "series" in fields:
            raise ValueError("a step has no `series`: did you mean `values`?")
        return fields

    @field_validator("quantiles")
    @classmethod
    def _of_a_forecast(cls, quantiles: list[float], others: ValidationInfo) -> list[float]:
        if others.data.get("horizon", True) is None:
            raise ValueError("only with a horizon")
        return quantiles


class SegmentsStep(Form):
    """Whole segments of the readings of one channel."""

    x: Annotated[
        list[Annotated[list[Reading], Field(fail_fast=True)]],
        Field(fail_fast=True, min_length=1, max_length=MAX_STEP_ITEMS),
    ] = Field(description="Next segments; `tensors` of GET /models says how many readings each has")


class ReadingsAnswer(Form):
    """How many readings the session has read, and the forecast if one was asked for."""

    readings: int = Field(description="Number of readings of each channel that the session has read")
    forecast: dict[str, ChannelForecast] | None = Field(
        None, description="Forecast of each channel, by channel name; left out if none was asked for"
    )
