"""Users whose readings come from sensors, a few at a time."""

from typing import Any, ClassVar

from locust import task

from loadtest.answers import ForecastAnswer, ReadingsAnswer, StepAnswer
from loadtest.checks.forecast import check_forecast, check_readings
from loadtest.checks.session import check_continuity
from loadtest.inputs.cuts import cut_series
from loadtest.inputs.readings import Series, asked, series, shuffled
from loadtest.question import post
from loadtest.users.checked import CheckedUser
from loadtest.users.session import Session

MAX_CHANNELS = 4
MAX_READINGS = 400
MAX_PIECES = 10


class StreamingReadingsUser(CheckedUser):
    """Feeds readings as they come, asks for forecasts now and then, and compares them with /forecast of the whole."""

    kind: ClassVar[str] = "forecasting"
    model: ClassVar[str] = "forecasting"
    has_sessions: ClassVar[bool] = True
    weight = 3

    @task
    def measure(self) -> None:
        """Feed the readings of one sensor with a few channels."""
        num_pieces = self.num_steps(MAX_PIECES, others=1)
        num_readings = max(num_pieces, self.rng.randint(1, MAX_READINGS))
        readings = series(self.rng, self.rng.randint(1, MAX_CHANNELS), num_readings)
        so_far: Series = {channel: [] for channel in readings}
        with Session(self, self.model) as session:
            for piece in cut_series(self.rng, readings, num_pieces):
                so_far = {channel: values + piece[channel] for channel, values in so_far.items()}
                if self.rng.random() < 0.2:
                    self._forecast(session, so_far, {"values": shuffled(self.rng, piece)})
                else:
                    self._feed(session, so_far, piece)
            self._forecast(session, so_far, {})
            session.end()

    def _feed(self, session: Session, so_far: Series, piece: Series) -> None:
        session.step(
            StepAnswer[ReadingsAnswer],
            {"values": shuffled(self.rng, piece)},
            lambda answer: check_readings(answer, _length(so_far), is_forecast=False),
        )

    def _forecast(self, session: Session, so_far: Series, inputs: dict[str, Any]) -> None:
        """Take a step that forecasts, and compare it with /forecast of all readings so far."""
        question = asked(self.rng, self.max_horizon)
        whole = self.ask(
            post(ForecastAnswer, "/forecast", {"series": so_far, "model": self.model, **question}),
            lambda answer: check_forecast(answer.forecast, so_far, question),
        ).forecast
        session.step(
            StepAnswer[ReadingsAnswer],
            {**inputs, **question},
            lambda answer: (
                check_readings(answer, _length(so_far), is_forecast=True) or check_continuity(answer.forecast, whole)
            ),
        )


def _length(series: Series) -> int:
    return len(next(iter(series.values())))
