"""Users with whole series."""

from typing import ClassVar

from locust import task

from loadtest.answers import ForecastAnswer
from loadtest.checks.forecast import Forecast, check_alone, check_forecast
from loadtest.inputs.readings import Asked, Series, asked, series
from loadtest.question import post
from loadtest.users.checked import CheckedUser

MAX_CHANNELS = 7
MAX_READINGS = 700


class ForecastUser(CheckedUser):
    """Asks for forecasts of one or several channels, near and far."""

    kind: ClassVar[str] = "forecasting"
    weight = 2

    @task(3)
    def several(self) -> None:
        """Forecast several channels."""
        self._forecast(self._series(), asked(self.rng, self.max_horizon))

    @task(1)
    def alone(self) -> None:
        """Forecast several channels, and one of them alone."""
        readings, question = self._series(), asked(self.rng, self.max_horizon)
        channel = self.rng.choice(sorted(readings))
        alone = self._forecast({channel: readings[channel]}, question)
        self.ask(
            post(ForecastAnswer, "/forecast", {"series": readings, **question}, "after one alone"),
            lambda answer: check_forecast(answer.forecast, readings, question),
            lambda answer: check_alone(answer.forecast, channel, alone),
        )

    def _series(self) -> Series:
        return series(self.rng, self.rng.randint(1, MAX_CHANNELS), self.rng.randint(1, MAX_READINGS))

    def _forecast(self, readings: Series, question: Asked) -> Forecast:
        return self.ask(
            post(ForecastAnswer, "/forecast", {"series": readings, **question}),
            lambda answer: check_forecast(answer.forecast, readings, question),
        ).forecast
