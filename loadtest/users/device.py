"""Users who are devices: a reading now and then, for a long time."""

from itertools import count
from typing import ClassVar

from locust import task

from loadtest.answers import ReadingsAnswer, StepAnswer
from loadtest.checks.forecast import check_forecast, check_readings
from loadtest.inputs.readings import WEEK, asked, series
from loadtest.pace import pause_of, steps_of
from loadtest.users.checked import CheckedUser
from loadtest.users.session import Session

FORECAST_SHARE = 1 / 24


class DeviceUser(CheckedUser):
    """Has one session for as long as the run lasts, and sends one reading after each pause."""

    kind: ClassVar[str] = "forecasting"
    model: ClassVar[str] = "forecasting"
    has_sessions: ClassVar[bool] = True

    @task
    def measure(self) -> None:
        """Send readings, the first after a part of a pause: devices that start together do not send together."""
        readings = series(self.rng, 1, WEEK)
        steps = steps_of(self.environment)
        with Session(self, self.model) as session:
            self.pause(self.rng.uniform(0, pause_of(self.environment)))
            for number in range(steps) if steps else count():
                reading = {channel: [values[number % WEEK]] for channel, values in readings.items()}
                self._feed(session, reading, number + 1)
            session.end()

    def pause(self, seconds: float | None = None) -> None:
        """Wait between two readings: without `--pause`, as long as other users wait between their tasks."""
        super().pause(seconds or pause_of(self.environment) or self._between_tasks())

    def _feed(self, session: Session, reading: dict[str, list[float]], num_readings: int) -> None:
        """Send a reading, and now and then ask for a forecast of all so far with it."""
        is_forecast = self.rng.random() < FORECAST_SHARE
        question = asked(self.rng, self.max_horizon)

        def check(answer: ReadingsAnswer) -> str | None:
            return check_readings(answer, num_readings, is_forecast) or (
                check_forecast(answer.forecast, reading, question) if answer.forecast is not None else None
            )

        session.step(StepAnswer[ReadingsAnswer], {"values": reading, **(question if is_forecast else {})}, check)
