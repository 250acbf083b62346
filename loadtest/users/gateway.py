"""Users who pass on the readings of many devices at once."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, ClassVar, NamedTuple

from locust import task

from loadtest.answers import ForecastAnswer, ItemAnswer, ReadingsAnswer
from loadtest.checks.forecast import check_forecast, check_readings
from loadtest.checks.session import check_continuity
from loadtest.inputs.readings import Series, asked, series
from loadtest.question import post
from loadtest.users.checked import CheckedUser
from loadtest.users.session import Session

NUM_SESSIONS = 16
MAX_READINGS = 48
REPEATED_SHARE = 0.2

ReadingsItem = ItemAnswer[ReadingsAnswer]


class GatewayStep(NamedTuple):
    """The next step of a session, and the check of its outputs."""

    session: Session
    inputs: dict[str, Any]
    check: Callable[[ReadingsAnswer], str | None]

    def item(self) -> dict[str, Any]:
        """Return the step as one of many."""
        return self.session.item(self.inputs)

    def failure(self, answer: ReadingsItem) -> str | None:
        """Check the answer to the step."""
        return self.session.check_item(answer, self.check)


class GatewayUser(CheckedUser):
    """Feeds 16 sessions one reading each at a time, then compares their forecasts with /forecast of all readings."""

    kind: ClassVar[str] = "forecasting"
    model: ClassVar[str] = "forecasting"
    has_sessions: ClassVar[bool] = True
    abstract = True

    @task
    def pass_on(self) -> None:
        """Pass on the readings of some devices."""
        num_readings = self.num_steps(MAX_READINGS, others=1)
        with self.connection(), ExitStack() as stack:
            devices = [
                (stack.enter_context(Session(self, self.model)), series(self.rng, 1, num_readings))
                for _ in range(NUM_SESSIONS)
            ]
            for number in range(num_readings):
                self._take([_reading(session, readings, number) for session, readings in devices])
                self.pause()
            self._take([self._forecast(session, readings) for session, readings in devices])
            for session, _ in devices:
                session.end()

    def connection(self) -> AbstractContextManager[object]:
        """Return what must be open meanwhile."""
        return nullcontext()

    @abstractmethod
    def take(self, steps: Sequence[GatewayStep]) -> None:
        """Take a step of each session, sometimes twice, and check the answers."""

    def _take(self, steps: Sequence[GatewayStep]) -> None:
        self.take(steps)
        for step in steps:
            step.session.advance()

    def _forecast(self, session: Session, readings: Series) -> GatewayStep:
        question = asked(self.rng, self.max_horizon)
        whole = self.ask(
            post(ForecastAnswer, "/forecast", {"series": readings, "model": self.model, **question}),
            lambda answer: check_forecast(answer.forecast, readings, question),
        ).forecast
        num_readings = len(next(iter(readings.values())))
        return GatewayStep(
            session,
            {**question},
            lambda answer: (
                check_readings(answer, num_readings, is_forecast=True) or check_continuity(answer.forecast, whole)
            ),
        )


def _reading(session: Session, readings: Series, number: int) -> GatewayStep:
    return GatewayStep(
        session,
        {"values": {channel: [values[number]] for channel, values in readings.items()}},
        lambda answer: check_readings(answer, number + 1, is_forecast=False),
    )
