"""What is counted of requests."""

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.measure import MeasureMiddleware
from service.metrics import Metrics
from tests.fakes.asgi import Client


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
