"""A worker put together and started, over one model."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from service.api.paths import OTHER
from service.api.stream.stream import SERVICE_RESTART
from service.engine.engine import Engine
from service.forms.sessions import SessionRequest
from service.process.wall_clock import WallClock
from service.protocols.connections import HTTP, WEBSOCKET, Connections
from service.sessions.openings import KEY_NOTE
from service.settings import ServerSettings, SessionSettings, Settings
from service.steps.turn import Ask
from service.stores.base import Record, Unavailable
from service.stores.outage import Outage
from service.worker import Worker
from tests.fakes.asgi import Client, Socket
from tests.fakes.clock import Clock
from tests.fakes.graphs import RecordingObserver, SumGraphs, row_of
from tests.fakes.model import SumModel
from tests.fakes.process import settle, until
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio
A_MONTH = 30 * 86_400
OF_THE_PROCESS = ("die_with_parent", "keep_freed_memory", "sys.setswitchinterval")


class Started:
    """A worker that serves sums.

    Attributes:
        worker: The worker.
        graphs: What its model runs.
        model: Its model.
        rules: What garbage collection was told to ask.
    """

    def __init__(self, worker: Worker, rules: list[Callable[[], bool]]) -> None:
        self.worker = worker
        self.graphs = SumGraphs()
        self.model = SumModel(self.graphs.bundle, Engine(self.graphs, RecordingObserver()))
        worker.catalog.add(self.model)
        worker.catalog.make_current(self.model.bundle.tag)
        self.rules = rules

    @property
    def may_collect(self) -> bool:
        """The answer to the one that was handed over."""
        (is_idle,) = self.rules
        return is_idle()


@pytest.fixture
async def started(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Started]:
    """A worker in this process, whose settings it leaves as they are."""
    rules: list[Callable[[], bool]] = []

    async def collect(is_idle: Callable[[], bool]) -> None:
        rules.append(is_idle)

    for name in OF_THE_PROCESS:
        monkeypatch.setattr(f"service.worker.{name}", lambda *_: None)
    monkeypatch.setattr("service.worker.configured_bundles", lambda _: [])
    monkeypatch.delenv("DIRECTORY_OF_UNROLLED", raising=False)  # so nobody else has the seats
    monkeypatch.setattr("service.worker.collect_when_idle", collect)
    handler = signal.getsignal(signal.SIGTERM)
    settings = Settings(server=ServerSettings(fast_port=0), sessions=SessionSettings(store="memory://"))
    worker = Worker(settings, 1)
    await worker.start()
    opened = Started(worker, rules)
    await until(lambda: bool(rules))
    yield opened
    opened.graphs.gate.set()
    opened.model.go.set()
    await worker.stop()
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def _quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps every hundredth of a second."""
    monkeypatch.setattr("service.worker.SWEEP_SECONDS", 0.01)


@pytest.fixture
def _quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done every second is done every hundredth of one."""
    monkeypatch.setattr("service.worker.FOLLOW_SECONDS", 0.01)


@pytest.fixture
def heartbeats(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the worker said at each one that it is ready."""
    sent: list[bool] = []
    monkeypatch.setattr("service.worker.BEAT_SECONDS", 0.01)
    monkeypatch.setattr("service.worker.report_alive", sent.append)
    return sent


async def test_a_worker_that_has_started_says_so_with_each_heartbeat(heartbeats: list[bool], started: Started) -> None:
    assert started.worker.is_serving
    await until(lambda: heartbeats[-2:] == [True, True])
    assert not heartbeats[0]


@pytest.mark.usefixtures("_quick_sweeps")
async def test_sweeps_of_a_store_that_is_down_are_one_line_in_the_log(
    started: Started, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_sweeps = 0

    async def overdue(*_: object) -> list[Record]:
        nonlocal num_sweeps
        num_sweeps += 1
        raise Unavailable("by a test")

    monkeypatch.setattr("service.stores.outage._outage", Outage())
    monkeypatch.setattr(started.worker.store, "overdue", overdue)
    await until(lambda: num_sweeps >= 3)
    assert [(each.getMessage(), each.exc_info) for each in caplog.records] == [
        ("the session store cannot be used: by a test", None)
    ]


@pytest.mark.usefixtures("_quick_beats")
async def test_a_worker_gives_a_store_that_has_lost_it_the_secret_of_keys_back(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, openings = started.worker.store, started.worker._core.openings
    await openings.create("ann", SessionRequest(model="sum"), "key")
    noted = await store.notes(KEY_NOTE)
    await store.note(KEY_NOTE, None)
    asked, note_once = asyncio.Event(), store.note_once

    async def hear(name: str, value: bytes) -> bytes:
        asked.set()
        return await note_once(name, value)

    monkeypatch.setattr(store, "note_once", hear)
    async with asyncio.timeout(5):
        await asked.wait()
    await settle()
    assert await store.notes(KEY_NOTE) == noted


async def test_sessions_and_bundles_go_by_the_clock_of_the_store(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FaultyStore(is_immediate=False)
    store.clock = Clock(4e9)
    monkeypatch.setattr("service.worker.open_store", lambda *_: store)
    worker = Worker(Settings(server=ServerSettings(fast_port=0)), 1)
    worker.catalog.add(started.model)
    worker.catalog.make_current(started.model.bundle.tag)
    opened = await worker._core.openings.create("ann", SessionRequest(model="sum", ttl_seconds=60))
    (record,) = await store.load([opened.session_id])
    assert isinstance(record, Record)
    assert record.expires_at == 4e9 + 60
    await worker.reloader.heartbeat()
    assert all(orjson.loads(note)["at"] == 4e9 for note in (await store.notes("worker:")).values())


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("is_immediate", [True, False], ids=["process", "commit"])
async def test_a_worker_knows_that_the_machine_s_clock_was_set_before_it_began(
    is_immediate: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("service.worker.open_store", lambda *_: FaultyStore(is_immediate=is_immediate))
    monkeypatch.setattr("service.worker.service_directory", lambda: tmp_path)
    monkeypatch.setattr("service.worker.Seats", lambda *_: None)
    WallClock(lambda: time.time() - A_MONTH, file=tmp_path / "clock")
    worker = Worker(Settings(server=ServerSettings(fast_port=0)), 1)
    assert worker._wall_clock.earliest() < time.time() - A_MONTH / 2


async def test_garbage_is_not_collected_while_a_row_of_a_whole_question_runs(started: Started) -> None:
    assert started.may_collect
    started.graphs.gate.clear()
    question = asyncio.create_task(started.model.engine.advance("encode", row_of(0), {"x": np.ones(1, int)}, 1))
    await until(lambda: not started.model.engine.is_idle)
    assert started.worker.steps.is_idle
    assert not started.may_collect
    started.graphs.gate.set()
    await question
    assert started.may_collect


async def test_garbage_is_not_collected_while_a_step_is_under_way(started: Started) -> None:
    opened = await started.worker._core.openings.create("ann", SessionRequest(model="sum"))
    step = asyncio.create_task(started.worker.steps.take(Ask("ann", opened.session_id, None, {"text": "wait"})))
    await until(lambda: started.model.num_waiting == 1)
    assert started.worker.catalog.is_idle
    assert not started.may_collect
    started.model.go.set()
    await step
    assert started.may_collect


async def test_a_worker_that_ends_has_answered_its_questions_closed_its_streams_and_written_down_its_counts(
    started: Started,
) -> None:
    worker, asked = started.worker, asyncio.Event()

    async def question() -> None:
        async with worker._core.open_answers.answer():
            await asked.wait()

    under_way = asyncio.create_task(question())
    await settle()
    worker.count_refused(400)
    idle = Socket(worker.application.plain, "ann")
    assert (await idle.told())["type"] == "websocket.accept"
    stopping = asyncio.create_task(worker.stop())
    assert (await idle.told())["code"] == SERVICE_RESTART
    await asyncio.sleep(0.05)
    assert not stopping.done()
    idle.hang_up()
    asked.set()
    await under_way
    await stopping
    labels = {"endpoint": OTHER, "code": "400"}
    assert worker.metrics.registry.get_sample_value("rnn_requests_total", labels) == 1


async def test_open_and_broken_connections_are_counted_and_broken_ones_are_one_line(
    started: Started, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own = Connections()
    monkeypatch.setattr("service.worker.connections", own)
    for kind, error in ((HTTP, TimeoutError()), (WEBSOCKET, TimeoutError()), (WEBSOCKET, None)):
        own.begin(kind)
        own.begin(kind)
        own.end(kind, error)
    for _ in range(2):
        started.worker._report_broken()
    started.worker._flush_metrics()
    sample = started.worker.metrics.registry.get_sample_value
    assert [sample("rnn_connections", {"kind": kind}) for kind in (HTTP, WEBSOCKET)] == [1, 2]
    assert sample("rnn_connections_broken_total") == 2
    assert caplog.messages == ["connections that broke, because their clients read nothing for 20 seconds: 2"]


async def test_a_loop_that_was_blocked_is_seen_in_the_metrics(started: Started) -> None:
    client = Client(started.worker.application.plain)

    async def num_delays(*bounds: str) -> list[float]:
        """How many delays there were in all, and up to each bound."""
        text = (await client.request("GET", "/metrics")).body.decode()
        buckets = dict(re.findall(r'^rnn_event_loop_delay_seconds_bucket\{le="(.*)"\} (.*)$', text, re.MULTILINE))
        return [float(buckets[bound]) for bound in ("+Inf", *bounds)]

    async with asyncio.timeout(60):
        while not (await num_delays())[0]:
            pass
        time.sleep(1.0)  # noqa: ASYNC251  as a long computation would
        num, num_short = await num_delays("0.5")
        while num == num_short:
            num, num_short = await num_delays("0.5")
