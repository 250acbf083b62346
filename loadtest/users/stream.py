"""Users who send steps of many sessions over one WebSocket."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

from locust.contrib.fasthttp import insecure_ssl_context_factory
from locust.exception import RescheduleTask
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from loadtest.answers import MessageAnswer, ReadingsAnswer
from loadtest.api_key import authorization
from loadtest.checks.session import check_replay
from loadtest.question import WrongReply, read_form
from loadtest.users.gateway import REPEATED_SHARE, GatewayStep, GatewayUser

T = TypeVar("T")
Message = MessageAnswer[ReadingsAnswer]

METHOD = "WS"
PATH = "/stream"
OPENING = f"{PATH} (opened)"
TIMEOUT_SECONDS = 60


class StreamUser(GatewayUser):
    """Sends each step as a message, all of them at once, and now and then one of them again."""

    _stream: ClientConnection
    _message_ids: Iterator[int]

    @contextmanager
    def connection(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            stream = self._connect()
        except (OSError, WebSocketException) as error:
            self.count(METHOD, OPENING, started, 0, _kind(error))
            raise RescheduleTask from error
        self.count(METHOD, OPENING, started, 0)
        self._stream, self._message_ids = stream, count()
        with stream:
            yield

    def take(self, steps: Sequence[GatewayStep]) -> None:
        items = [step.item() for step in steps]
        answers = self._exchange(items, steps, lambda answer, step: step.failure(answer), self.model)
        if self.rng.random() < REPEATED_SHARE:
            place = self.rng.randrange(len(items))
            self._exchange([items[place]], [answers[place]], _check_again, f"{self.model}, again")

    def _connect(self) -> ClientConnection:
        address = f"{self.host}{PATH}".replace("http", "ws", 1)
        unverified = insecure_ssl_context_factory()  # type: ignore[no-untyped-call]  # as other users call
        return connect(
            address,
            additional_headers=authorization(self.environment),
            ssl=unverified if address.startswith("wss:") else None,
            compression=None,
            open_timeout=TIMEOUT_SECONDS,
            ping_interval=None,
            proxy=None,
        )

    def _exchange(
        self,
        items: Sequence[dict[str, Any]],
        expected: Sequence[T],
        check: Callable[[Message, T], str | None],
        note: str,
    ) -> list[Message]:
        """Send steps as messages. Check each answer with what belongs to it, and count it, as it comes."""
        name = f"{PATH} ({note})"
        sent: dict[int, tuple[float, int]] = {}
        answers: dict[int, Message] = {}
        has_failed = False
        try:
            for place, item in enumerate(items):
                message_id = next(self._message_ids)
                sent[message_id] = time.perf_counter(), place
                self._stream.send(json.dumps({"id": message_id, **item}))
            while sent:
                content = self._stream.recv(TIMEOUT_SECONDS)
                answer = read_form(Message, content)
                if answer.id not in sent:
                    raise WrongReply("message: another one was answered")
                started, place = sent.pop(answer.id)
                failure = check(answer, expected[place])
                self.count(METHOD, name, started, len(content), failure)
                has_failed |= failure is not None
                answers[place] = answer
        except (OSError, WebSocketException, WrongReply) as error:
            for started, _ in sent.values():
                self.count(METHOD, name, started, 0, _kind(error))
            raise RescheduleTask from error
        if has_failed:
            raise RescheduleTask
        return [answers[place] for place in range(len(items))]


def _check_again(answer: Message, first: Message) -> str | None:
    return check_replay(answer, first.model_copy(update={"id": answer.id}))


def _kind(error: Exception) -> str:
    """Return the kind of a failure."""
    if isinstance(error, InvalidStatus):
        return f"status: expected 101, got {error.response.status_code}"
    if isinstance(error, ConnectionClosed) and error.rcvd:
        return f"connection: closed with {error.rcvd.code}"
    return str(error) if isinstance(error, WrongReply) else f"connection: {type(error).__name__}"
