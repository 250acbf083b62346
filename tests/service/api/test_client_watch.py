"""A task whose client may go."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.api.body import BodyMiddleware
from service.api.body_reader import BodyReader
from service.api.client_watch import ClientGone, ClientWatch
from service.api.wire import cancel_on_disconnect, respond
from tests.fakes import asgi
from tests.fakes.process import settle

pytestmark = pytest.mark.anyio
MAX_BYTES = 1000


class Client:
    """A client that goes when it is told to."""

    def __init__(self) -> None:
        self.gone: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    def go(self) -> None:
        """Hang up."""
        self.gone.set_result({"type": "http.disconnect"})

    async def receive(self) -> Message:
        """ASGI's."""
        return await self.gone


async def test_work_is_done_for_a_client_that_stays() -> None:
    client = Client()

    async def work() -> int:
        await settle()
        return 7

    assert await cancel_on_disconnect(client.receive, work()) == 7
    assert client.gone.cancelled()


async def test_work_ends_with_its_client_and_leaves_no_cancellation_behind() -> None:
    client, is_cancelled = Client(), False

    async def work() -> None:
        nonlocal is_cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled = True
            raise

    async def request() -> int:
        with pytest.raises(ClientGone):
            await cancel_on_disconnect(client.receive, work())
        await settle()
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    task = asyncio.create_task(request())
    await settle()
    client.go()
    assert await task == 0
    assert is_cancelled


async def test_a_client_that_was_gone_before_is_noticed() -> None:
    client = Client()
    client.go()
    with pytest.raises(ClientGone):
        await cancel_on_disconnect(client.receive, asyncio.Event().wait())


async def test_who_is_cancelled_by_others_is_not_taken_for_deserted() -> None:
    client = Client()
    task = asyncio.create_task(cancel_on_disconnect(client.receive, asyncio.Event().wait()))
    await settle()
    task.cancel()
    client.go()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_work_raises_or_returns_in_spite_of_it_stands() -> None:
    for outcome in (ValueError("refused"), 7):
        client = Client()

        async def work(outcome: object = outcome) -> object:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if isinstance(outcome, ValueError):
                    raise outcome from None
            return outcome

        async def request(work: Callable[[], Awaitable[object]] = work, client: Client = client) -> tuple[object, int]:
            try:
                told: object = await cancel_on_disconnect(client.receive, work())  # type: ignore[arg-type]
            except ValueError as error:
                told = error
            await settle()
            task = asyncio.current_task()
            assert task is not None
            return told, task.cancelling()

        task = asyncio.create_task(request())
        await settle()
        client.go()
        assert await task == (outcome, 0)


async def test_a_client_that_goes_just_as_it_is_answered_cancels_nothing() -> None:
    """Whatever the order in which the loop learns of both."""
    for is_answered_first in (True, False):
        for num_turns in range(4):
            client, answer = Client(), asyncio.get_running_loop().create_future()

            async def request(client: Client = client, answer: asyncio.Future[int] = answer) -> int | None:
                try:
                    told: int | None = await cancel_on_disconnect(client.receive, asyncio.wait_for(answer, 10))
                except ClientGone:
                    told = None
                await settle()  # a stray cancellation would strike here
                return told

            task = asyncio.create_task(request())
            await settle()
            first, second = (partial(answer.set_result, 7), client.go)[:: 1 if is_answered_first else -1]
            first()
            for _ in range(num_turns):
                await asyncio.sleep(0)
            with suppress(asyncio.InvalidStateError):
                second()
            assert await task in ([7] if is_answered_first else [7, None])


async def test_an_answer_on_its_way_is_not_called_back() -> None:
    client = Client()

    async def request() -> str:
        with ClientWatch(client.receive) as watch:
            await settle()
            watch.end()
            client.go()
            await settle()
        return "sent"

    assert await asyncio.create_task(request()) == "sent"


async def test_a_posted_request_ends_with_its_client() -> None:
    read: list[Message] = []

    async def wait(_: Scope, receive: Receive, __: Send) -> None:
        read.append(await receive())
        await asyncio.Event().wait()

    exchange = asgi.Client(BodyMiddleware(wait, BodyReader(MAX_BYTES))).begin("POST", "/sentiment", b"{}")
    await settle()
    exchange.hang_up()
    assert (await exchange.answered()).status == 499
    assert [message["body"] for message in read] == [b"{}"]


async def test_a_posted_request_that_is_answered_in_part_ends_with_its_client() -> None:
    is_cancelled = False

    async def answer(_: Scope, receive: Receive, send: Send) -> None:
        nonlocal is_cancelled
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a part", "more_body": True})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled = True
            raise

    exchange = asgi.Client(BodyMiddleware(answer, BodyReader(MAX_BYTES))).begin("POST", "/sentiment", b"{}")
    await settle()
    exchange.hang_up()
    await exchange.answered()
    assert is_cancelled


async def test_a_posted_request_that_is_answered_hears_of_its_clients_end() -> None:
    heard: list[str] = []

    async def answer(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await respond(send, b"{}")
        heard.append((await receive())["type"])

    exchange = asgi.Client(BodyMiddleware(answer, BodyReader(MAX_BYTES))).begin("POST", "/sentiment", b"{}")
    await settle()
    exchange.hang_up()
    assert (await exchange.answered()).status == 200
    assert heard == ["http.disconnect"]


async def test_a_request_that_changes_nothing_is_let_go_on_without_its_client() -> None:
    may_answer = asyncio.Event()

    async def answer(_: Scope, __: Receive, send: Send) -> None:
        await may_answer.wait()
        await respond(send, b"{}")

    exchange = asgi.Client(BodyMiddleware(answer, BodyReader(MAX_BYTES))).begin("GET", "/models", b"")
    exchange.hang_up()
    await settle()
    may_answer.set()
    assert (await exchange.answered()).status == 200
