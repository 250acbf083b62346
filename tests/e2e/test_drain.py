"""SIGTERM drains: readiness goes first, what was taken is answered, and nothing is committed that nobody was told."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError

from service.api.stream.stream import SERVICE_RESTART
from tests.e2e.asking import Json, events, http_client, open_session, step
from tests.e2e.exposition import await_metric
from tests.e2e.load import Load, stored_steps
from tests.e2e.server import STOP_SECONDS, Server, is_listening
from tests.e2e.stream import open_stream
from tests.e2e.workers import client_of_each
from tests.waiting import until

pytestmark = pytest.mark.e2e
DRAIN_SECONDS = 3.0
SETTINGS = {
    "UNROLLED_WORKERS": "2",
    "UNROLLED_SPARE_WORKERS": "1",
    "UNROLLED_DRAIN_SECONDS": str(DRAIN_SECONDS),
}
READ_SECONDS = 20
# After it has drained, a worker refuses what is new and closes its streams. Who then sends before they have read that,
# finds the connection broken.
AT_AN_END = {
    "urn:unrolled:problem:shutting-down",
    f"closed with {SERVICE_RESTART}",
    "ReadError",
    "RemoteProtocolError",
    "ConnectionClosedError",
    "InvalidMessage",
}
LONG: Json = {"generate": {"max_tokens": 4096}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("home"), settings=SETTINGS) as running:
        yield running


@pytest.fixture
def stopping(service: Server) -> Server:
    """Runs, whatever the test before has left of it."""
    if service.process.poll() is not None:
        service.start()
    return service


def terminate(server: Server) -> None:
    """SIGTERM to the group, as a terminal or a supervisor sends it."""
    os.killpg(server.process.pid, signal.SIGTERM)


def test_one_worker_that_is_told_to_end_serves_while_it_drains_and_is_replaced(stopping: Server) -> None:
    with Load(stopping, 20, 50) as load:
        load.await_steps(100)
        told = stopping.workers()[0]
        told.send_signal(signal.SIGTERM)
        terminated = time.monotonic()
        while time.monotonic() < terminated + DRAIN_SECONDS * 0.8:
            load.await_steps(1)
        assert load.setbacks == {}
        until(lambda: told not in stopping.workers(), STOP_SECONDS, "the worker ends")
        load.await_steps(100)
        until(lambda: len(stopping.workers()) == 2, STOP_SECONDS, "another serves in its place")
        load.await_steps(100)
        until(lambda: len(stopping.spares()) == 1, STOP_SECONDS, "there is another spare one")
        met_at_its_end = load.setbacks.copy()
        assert met_at_its_end.keys() <= AT_AN_END
        load.await_steps(100)
        assert load.setbacks == met_at_its_end
    load.check()


def is_ready(client: httpx.Client) -> bool:
    """What a worker says of itself."""
    status = client.get("/readyz").status_code
    assert status in (200, 503)
    return status == 200


def test_readiness_goes_first_and_what_was_taken_is_answered_in_full(stopping: Server) -> None:
    def streamed() -> list[str]:
        with http_client(stopping.url) as own:
            session_id = open_session(own, "generation")
            body = {"inputs": LONG, "stream": True}
            with own.stream("POST", f"/sessions/{session_id}/steps", json=body) as response:
                told = events(response.iter_lines())
                has_begun.append(next(told)[0])
                return [*has_begun, *(name for name, _ in told)]

    has_begun: list[str] = []
    with client_of_each(stopping) as clients, ThreadPoolExecutor(1) as pool:
        session_id = open_session(next(iter(clients.values())), "sentiment")
        streaming = pool.submit(streamed)
        until(lambda: bool(has_begun), 30, "the stream has begun")
        (spare,) = stopping.spares()
        terminate(stopping)
        terminated = time.monotonic()
        until(lambda: not any(map(is_ready, clients.values())), DRAIN_SECONDS, "both workers say that they are not")
        served = 0
        while time.monotonic() < terminated + DRAIN_SECONDS * 0.8:
            for client in clients.values():
                assert step(client, session_id, {"ids": [1]})
                served += 1
        assert served > 10
        assert spare not in stopping.workers()
        assert streaming.result(timeout=60)[-1] == "done"
    assert stopping.process.wait(timeout=STOP_SECONDS) == 0
    spare.wait(timeout=STOP_SECONDS)
    assert not is_listening(stopping.port)
    assert not is_listening(stopping.fast_port)
    assert stored_steps(stopping, [session_id]) == {session_id: served}


def test_idle_streams_of_both_ports_are_told_to_connect_elsewhere(stopping: Server) -> None:
    of_bentoml = stopping.url.replace("http", "ws", 1) + "/stream"
    with (
        open_stream(stopping.stream_url) as one,
        open_stream(of_bentoml) as other,
        http_client(stopping.url) as client,
    ):
        await_metric(client, 'rnn_connections{kind="websocket"}', 2)
        terminate(stopping)
        for stream in (one, other):
            with pytest.raises(ConnectionClosedError) as closed:
                stream.connection.recv(timeout=STOP_SECONDS)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == SERVICE_RESTART
    assert stopping.process.wait(timeout=STOP_SECONDS) == 0


def test_under_load_every_step_that_is_committed_was_acknowledged(stopping: Server) -> None:
    with Load(stopping, 20, 50) as load:
        load.await_steps(300)
        terminate(stopping)
        assert stopping.process.wait(timeout=STOP_SECONDS) == 0
        stored = stored_steps(stopping, list(load.acknowledged()))
        until(lambda: load.acknowledged() == stored, READ_SECONDS, "clients have read an answer for every step stored")
