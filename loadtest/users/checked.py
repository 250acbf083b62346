"""A user who checks every answer."""

import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar, TypeVar

from locust import FastHttpUser, between
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS, ResponseContextManager
from locust.exception import CatchResponseError, RescheduleTask, StopUser

from loadtest.answers import Answer
from loadtest.api_key import authorization
from loadtest.inputs.readings import HORIZONS
from loadtest.pace import pause_of, steps_of
from loadtest.question import Question, Reply, WrongReply
from loadtest.seed import seed_of

A = TypeVar("A", bound=Answer)

# After any other 5xx, of a proxy too, the service may have done what it was asked.
DONE_NOTHING = (b"queue-full", b"store-full", b"shutting-down")
IDLE_SECONDS = 60  # the service closes connections that have been idle a little longer


class Refused(RescheduleTask):
    """A question was refused, so that the service has done nothing."""


class CheckedUser(FastHttpUser):
    """Asks questions and checks answers. A task ends at its first wrong answer, and the user goes on with the next.

    Attributes:
        kind: The task of the model that it asks. Empty if it asks several.
        model: The model's name: of the one that ships, unless the service serves only others for that task. Empty if
            the service chooses it.
        has_sessions: Whether the model needs sessions.
        needs: Names of models that must be served.
        has_model: Whether the service has all models that it asks. Without, the user ends at once.
        max_horizon: How far ahead all served forecasters see.
        rng: This user's own random generator: the same seed gives the same questions in the same order.
    """

    kind: ClassVar[str] = ""
    model: ClassVar[str] = ""
    has_sessions: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    has_model: ClassVar[bool] = True
    max_horizon: ClassVar[int] = max(HORIZONS)
    abstract = True
    _num_started: ClassVar[Counter[str]] = Counter()
    _between_tasks = between(0.05, 0.5)
    _wait_seconds: float | None = None

    def on_start(self) -> None:
        """Set up the user. Locust calls this before the first task."""
        kind = type(self).__name__
        self.rng = Random(f"{seed_of(self.environment)}/{kind}/{self._num_started[kind]}")
        self._num_started[kind] += 1
        self.tasks = [CheckedUser._act]
        # Refusals are checked like any answer. Without this, the client would drop their bodies unread.
        self.client.client.valid_response_codes = frozenset(range(200, 600))  # type: ignore[misc]  # no other way in

    @staticmethod
    def suits(task: dict[str, Any]) -> bool:  # noqa: ARG004  of those that override it
        """Return whether the user's questions and checks suit a model of this task."""
        return True

    def ask(self, question: Question[A], *checks: Callable[[A], str | None]) -> A:
        """Ask a question and check its answer. A failure is counted under its kind and ends the task.

        Raises:
            Refused: The service has refused it.
            RescheduleTask: There was no answer, or a wrong one.
        """
        started, reply = time.perf_counter(), None
        with self._send(question) as response:
            try:
                reply = _reply(response)
                answer = question.read(reply)
                failure = next(filter(None, (check(answer) for check in checks)), None)
            except WrongReply as error:
                failure = str(error)
            if failure is None:
                response.success()
            else:
                response.failure(f"{question.case}: {failure}" if question.case else failure)
        if reply is None or failure is not None:
            raise Refused if reply is not None and _is_refusal(reply) else RescheduleTask
        if question.whole_name:
            self.count(question.method, question.whole_name, started, len(reply.content))
        return answer

    def reply(self, question: Question[Any]) -> Reply:
        """Ask a question that locust does not count.

        Raises:
            WrongReply: There is no reply, or not all of it.
        """
        return _reply(self._send(question))

    def count(self, method: str, name: str, started: float, num_bytes: int, failure: str | None = None) -> None:
        """Count a request that ends now in a row of locust's tables.

        Args:
            method: Its HTTP method, or what takes its place.
            name: Name of the row.
            started: When it was sent, by `time.perf_counter`.
            num_bytes: Length of the answer.
            failure: Kind of failure, if it is one.
        """
        self.environment.events.request.fire(
            request_type=method,
            name=name,
            response_time=1000 * (time.perf_counter() - started),
            response_length=num_bytes,
            exception=CatchResponseError(failure) if failure else None,
            context={},
        )

    def num_steps(self, most: int, others: int = 0) -> int:
        """Return how many steps with input a session takes: up to `most`, or as many as `--steps` leaves for them.

        Args:
            most: The most steps if users may choose.
            others: Number of its other steps.
        """
        steps = steps_of(self.environment)
        return max(1, steps - others) if steps else self.rng.randint(1, most)

    def pause(self, seconds: float | None = None) -> None:
        """Wait between two steps: for `--pause` seconds, unless others are given. A user that is stopped ends here."""
        self._wait_seconds = pause_of(self.environment) if seconds is None else seconds
        if self._wait_seconds > IDLE_SECONDS:
            self.client.client.close()
        self.wait()  # type: ignore[no-untyped-call]  # locust's own
        self._wait_seconds = None

    def wait_time(self) -> float:
        """Return how long locust lets the user wait: between tasks, unless it pauses within one."""
        return self._between_tasks() if self._wait_seconds is None else self._wait_seconds

    def _act(self) -> None:
        """Do one of the user's tasks, drawn by its own generator, since locust's is shared by all users."""
        if not self.has_model:
            raise StopUser
        self.rng.choice(type(self).tasks)(self)  # type: ignore[operator]  # all of them are functions

    def _send(self, question: Question[Any]) -> ResponseContextManager:
        content_type = {"Content-Type": question.content_type} if question.body is not None else {}
        return self.client.request(
            question.method,
            question.path,
            name=question.name,
            data=question.body,  # type: ignore[arg-type]  # bytes are sent as they are
            headers={**authorization(self.environment), **content_type, **question.headers},
            stream=question.stream,
            catch_response=True,
        )


def _is_refusal(reply: Reply) -> bool:
    """Whether a reply says that nothing was done."""
    return 400 <= reply.status < 500 or (reply.status == 503 and any(each in reply.content for each in DONE_NOTHING))


def _reply(response: ResponseContextManager) -> Reply:
    """Read the reply with its whole body.

    Raises:
        WrongReply: There is no reply, or not all of it.
    """
    if broken := response.request_meta["exception"]:
        raise WrongReply(f"connection: {type(broken).__name__}")
    content_type = "" if response.headers is None else str(response.headers.get("content-type", ""))
    try:
        return Reply(response.status_code, content_type, response.content)
    except FAILURE_EXCEPTIONS as error:
        raise WrongReply(f"connection: {type(error).__name__}") from error
