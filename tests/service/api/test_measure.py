"""What is counted of requests."""

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.api.measure import MeasureMiddleware
from service.metrics import Metrics
from tests.fakes.asgi import Client
from tests.fakes.process import settle


@pytest.mark.anyio
async def test_each_request_is_counted_with_the_status_that_was_sent_and_a_failure_as_500() -> None:
    metrics = Metrics()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/":
            raise RuntimeError("the application failed")
        await Response(status_code=204)(scope, receive, send)

    client = Client(MeasureMiddleware(app, metrics.requests_tally))
    await client.post("/steps", b"")
    with pytest.raises(RuntimeError):
        await client.post("/", b"")
    metrics.flush()
    sample = metrics.registry.get_sample_value
    assert sample("rnn_requests_total", {"endpoint": "/steps", "code": "204"}) == 1
    assert sample("rnn_requests_total", {"endpoint": "/", "code": "500"}) == 1
    assert 0 < (sample("rnn_request_duration_seconds_sum", {"endpoint": "/steps"}) or 0) < 60


@pytest.mark.anyio
async def test_a_request_that_the_server_gives_up_ends_and_is_counted_as_its_clients_end() -> None:
    metrics = Metrics()

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        await receive()
        await receive()

    exchange = Client(MeasureMiddleware(app, metrics.requests_tally)).begin("POST", "/steps", b"")
    await settle()
    await exchange.cancel()
    assert exchange._task.cancelled()
    metrics.flush()
    labels = {"endpoint": "/steps", "code": "499"}
    assert metrics.registry.get_sample_value("rnn_requests_total", labels) == 1


@pytest.mark.anyio
async def test_what_is_no_request_is_passed_on() -> None:
    passed: list[Scope] = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        passed.append(scope)

    async def nothing() -> Message:
        raise AssertionError

    async def nobody(_: Message) -> None:
        raise AssertionError

    await MeasureMiddleware(app, Metrics().requests_tally)({"type": "lifespan"}, nothing, nobody)
    assert passed == [{"type": "lifespan"}]
