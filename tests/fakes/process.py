"""The core of one worker process, with sums for models and a clock that is set by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import orjson
import pytest

from service.catalog import Catalog
from service.core import Core
from service.engine.engine import Engine
from service.forms.sessions import SessionRequest
from service.metrics import Metrics
from service.process.wall_clock import WallClock
from service.sessions.sequences import Sequences
from service.settings import ExportSettings, ServerSettings, SessionSettings, Settings
from service.steps.turn import Answer, Ask, Turn
from service.stores.base import Store
from service.stores.measured import MeasuredStore
from service.tasks.task import ServedModel
from tests.fakes.clock import Clock
from tests.fakes.graphs import SumGraphs, sum_bundle
from tests.fakes.model import SumModel
from tests.fakes.stores import FaultyStore

EXPORT_KEY = b"k" * 32
NEW = SessionRequest(model="sum")
LIMITS: dict[str, Any] = {
    "remember_ended_seconds": 60,
    "session_ttl_seconds": 10,
    "max_session_ttl_seconds": 100,
    "max_checkpoints": 3,
    "max_kept_input_bytes": 200,
}


class Process:
    """Steps and sessions over one store and one catalog, as a worker has them.

    Args:
        store: Shared by all processes of a test.
        clock: Likewise. Nothing else tells the time, so that no jump is noticed.
        wall_clock: In its place, one that may be set.
        versions: Of the bundle "sum" that are served; the last is current.
        timeout_seconds: How long a step may take.
        max_queue_rows: Of each engine.
        numerics: What computes, if not what really does.
        export_key: Signs exports.
        max_cached_sessions: Sessions whose latest state is kept at hand.
        max_answer_bytes: Room for large answers.
        max_store_bytes: What sweeps keep the store to; may be less than a service is given.
        limits: Settings of sessions.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock | None = None,
        versions: Sequence[str] = ("0",),
        timeout_seconds: float = 10.0,
        max_queue_rows: int = 4096,
        numerics: bytes | None = None,
        export_key: bytes = EXPORT_KEY,
        max_cached_sessions: int = 0,
        max_answer_bytes: int = 2**28,
        max_store_bytes: int = 2**36,
        wall_clock: WallClock | None = None,
        **limits: object,
    ) -> None:
        self.clock = clock or Clock()
        self.metrics = Metrics()
        settings = Settings(
            server=ServerSettings(request_timeout_seconds=timeout_seconds, max_answer_bytes=max_answer_bytes),
            export=ExportSettings(export_key=export_key.decode()),
            sessions=SessionSettings(**{**LIMITS, **limits}).model_copy(update={"max_store_bytes": max_store_bytes}),
        )
        self.catalog = Catalog(settings.bundles, settings.engine, self.metrics)
        if numerics is not None:
            self.catalog.numerics = numerics
        self.graphs: dict[str, SumGraphs] = {}
        for version in versions:
            graphs = self.graphs[version] = SumGraphs(sum_bundle(version))
            observer = self.metrics.observer(graphs.bundle.tag)
            self.catalog.add(SumModel(graphs.bundle, Engine(graphs, observer, max_queue_rows=max_queue_rows)))
            self.catalog.make_current(graphs.bundle.tag)
        measured = MeasuredStore(store, self.metrics)
        wall_clock = wall_clock or WallClock(self.clock, self.clock)
        self.core = core = Core(
            measured, self.catalog, settings, self.metrics, self._spawn, max_cached_sessions, wall_clock
        )
        self.steps, self.sessions = core.steps, core.sessions
        self.transitions, self.transfers = core.transitions, core.transfers
        self.openings, self.housekeeping = core.openings, core.housekeeping
        self._spawned: set[asyncio.Task[None]] = set()

    @property
    def model(self) -> SumModel:
        """The current model."""
        model = self.catalog["sum"]
        assert isinstance(model, SumModel)
        return model

    @property
    def sequences(self) -> Sequences:
        """Sequences in tensors, over the same parts."""
        core = self.core
        return Sequences(core.sessions, core.openings, core.steps, core.open_answers, self.catalog.numerics)

    def serve(self, kind: type[ServedModel]) -> ServedModel:
        """Let another kind of model be current under the same name."""
        graphs = SumGraphs(sum_bundle(kind.kind))
        model = kind(graphs.bundle, Engine(graphs, self.metrics.observer(graphs.bundle.tag)))
        self.catalog.add(model)
        self.catalog.make_current(graphs.bundle.tag)
        return model

    async def create(self, owner: str = "ann", **request: Any) -> str:  # noqa: ANN401  any field of the form
        """The id of a new session."""
        return (await self.openings.create(owner, SessionRequest(model="sum", **request))).session_id

    async def text(self, session_id: str, text: str, step: int | None = None, **ask: Any) -> Answer:  # noqa: ANN401
        """A step in the model's own language."""
        return await self.steps.take(Ask("ann", session_id, step, {"text": text}, **ask))

    async def ids(self, session_id: str, *ids: int, step: int | None = None, **ask: Any) -> Answer:  # noqa: ANN401
        """A step in tensors."""
        return await self.steps.take(Ask("ann", session_id, step, {"ids": list(ids)}, **ask))

    async def count(self, session_id: str, owner: str = "ann") -> int:
        """What a session has summed up, without taking a step."""
        return self.model.layout.tensor((await self.sessions.load(owner, session_id)).body.state.row, "total").item()

    def begin(self, session_id: str, text: str, step: int | None = None) -> "Pending":
        """Begin a step, so that its end can be waited for or called off."""
        pending = Pending()
        pending.turn = Turn(Ask("ann", session_id, step, {"text": text}), pending.done)
        self.steps.submit(pending.turn)
        return pending

    async def __aenter__(self) -> Self:
        self.catalog.start()
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await asyncio.gather(*self._spawned)
        for graphs in self.graphs.values():
            graphs.gate.set()
        await self.catalog.stop()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)


class Pending:
    """A step under way, and how often its owner was told of its end."""

    turn: Turn

    def __init__(self) -> None:
        self.num_told = 0
        self._over = asyncio.Event()

    def done(self, _: Turn) -> None:
        """Told by the steps."""
        self.num_told += 1
        self._over.set()

    async def result(self) -> Answer:
        """The answer, or the refusal raised."""
        await self._over.wait()
        return self.turn.result()


def noted_sources(process: Process, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The sources of all steps that are submitted from now on."""
    submit, sources = process.steps.submit, list[object]()

    def noted(turn: Turn) -> None:
        sources.append(turn.source)
        submit(turn)

    monkeypatch.setattr(process.steps, "submit", noted)
    return sources


def outputs(answer: Answer) -> dict[str, Any]:
    """What a step was answered, decoded."""
    decoded: dict[str, Any] = orjson.loads(answer.outputs)
    return decoded


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let others go on until something holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  a condition sends no event
            await asyncio.sleep(0)


@asynccontextmanager
async def two_processes(**options: Any) -> AsyncIterator[tuple[FaultyStore, Process, Process]]:  # noqa: ANN401
    """Two processes over one store."""
    store, clock = FaultyStore(), Clock()
    async with Process(store, clock, **options) as one, Process(store, clock, **options) as other:
        yield store, one, other
