"""One worker process: everything that serves, assembled, started and stopped in order."""

import asyncio
import gc
import logging
import os
import sys
import time

import onnxruntime as ort

from service.api.application import Application
from service.api.paths import OTHER
from service.api.steps.single_steps import SingleSteps
from service.catalog import Catalog, configured_bundles
from service.concurrency.background import BackgroundTasks
from service.concurrency.loop_delay import observe_loop_delay
from service.core import Core
from service.fast_port.server import FastPort
from service.keys.keys import open_keys
from service.metrics import Metrics
from service.process.allocator import Growth, keep_freed_memory, return_freed_memory
from service.process.collector import collect_when_idle
from service.process.heartbeats import BEAT_SECONDS
from service.process.messages import report_alive, report_stopping
from service.process.metric_files import join_service
from service.process.output import flush_output
from service.process.parent import die_with_parent
from service.process.seats import Seats
from service.process.service_directory import service_directory
from service.process.sigterm import Draining, finishes_before_sigterm
from service.process.wall_clock import WallClock
from service.protocols.connections import connections
from service.protocols.http import UNREAD_MILLISECONDS
from service.questions import Questions
from service.reload import FOLLOW_SECONDS, Reloader
from service.settings import Settings
from service.stores.connect import open_store
from service.stores.measured import MeasuredStore
from service.stores.outage import or_logged
from service.stores.watch import StoreWatch
from service.version import own_version

logger = logging.getLogger(__name__)

# How long a thread that has run a graph may wait for the interpreter; Python's default is 5 ms, four runs of a graph.
SWITCH_SECONDS = 5e-5
MAX_CACHED_SESSIONS = 1024
SWEEP_SECONDS = 5.0
FLUSH_SECONDS = 0.25
LOOK_SECONDS = 2.0
STORE_LOOK_SECONDS = BROKEN_SECONDS = 10.0


class Worker:
    """All parts of a worker.

    Args:
        settings: The settings of its process.
        worker_index: Its number among the service's workers, from 1 on.
    """

    def __init__(self, settings: Settings, worker_index: int) -> None:
        _set_up_process()
        self._server = server = settings.server
        self._provider = settings.bundles.provider
        self._background = BackgroundTasks()
        self._draining = Draining(server.drain_seconds, self._answer_all, self._background)
        self._has_started = False
        self.metrics = Metrics()
        directory = service_directory()
        self._keys = open_keys(settings.keys, directory)
        self.store = MeasuredStore(open_store(settings.sessions, directory), self.metrics)
        self._store_watch = StoreWatch(self.store, self.metrics)
        self._has_servers_clock = self.store.clock is not time.time
        self._wall_clock = WallClock(self.store.clock) if self._has_servers_clock else WallClock.shared(directory)
        self.catalog = Catalog(settings.bundles, settings.engine, self.metrics)
        self.reloader = self._new_reloader(settings, worker_index)
        self._core = Core(
            self.store,
            self.catalog,
            settings,
            self.metrics,
            self._background.spawn,
            max_cached_sessions=MAX_CACHED_SESSIONS if server.workers == 1 and self.store.is_immediate else 0,
            wall_clock=self._wall_clock,
        )
        self.steps = self._core.steps
        self.questions = Questions(self.catalog, self.metrics, self._core.open_answers, self._core.answer_room)
        self.application = Application(
            self._core,
            self.catalog,
            self.reloader,
            self.questions,
            self.metrics,
            self._keys,
            settings,
            lambda: self.is_serving,
        )
        self._fast_port = self._new_fast_port() if server.fast_port else None
        self._growth = Growth()
        self._seats = None if directory is None else Seats(directory, server.workers)

    async def start(self) -> None:
        """Start what needs the event loop, then become ready."""
        await self._open_store()
        if self._has_servers_clock:
            self._wall_clock.trust()  # only now is the server's clock known
        await self.reloader.open()
        self._background.spawn(self.reloader.follow_forever())
        self._background.repeat(FOLLOW_SECONDS, self.reloader.heartbeat)
        self._background.repeat(FOLLOW_SECONDS, lambda: or_logged(self._core.openings.confirm_secret()))
        report_alive(self._has_started)
        self._background.repeat(BEAT_SECONDS, lambda: report_alive(self._has_started))
        await self._take_seat()
        self.catalog.start()
        if self._fast_port is not None:
            self._fast_port.start()
        self._background.spawn(collect_when_idle(lambda: self.is_idle))
        self._background.spawn(observe_loop_delay(self.metrics.event_loop_delay.observe))
        self._background.repeat(SWEEP_SECONDS, lambda: or_logged(self._core.housekeeping.sweep()))
        self._background.repeat(STORE_LOOK_SECONDS, self._store_watch.check_quietly)
        self._background.repeat(LOOK_SECONDS, self.application.stream.drop_slow_readers)
        self._background.repeat(LOOK_SECONDS, self._return_memory)
        self._background.repeat(FLUSH_SECONDS, self._flush_metrics)
        self._background.repeat(LOOK_SECONDS, self.metrics.keep_room)
        self._background.repeat(BROKEN_SECONDS, self._report_broken)
        self._draining.begin_on_sigterm()
        self.metrics.workers_started.inc()
        self.metrics.build_info.labels(own_version(), ort.__version__, self._provider, self.catalog.numerics.hex()).set(
            1
        )
        self._has_started = True

    async def stop(self) -> None:
        """Answer what is under way, and stop in the opposite order."""
        self._has_started = False
        await self._answer_all()
        if self._fast_port is not None:
            await self._fast_port.stop()
        await self._background.cancel()
        report_stopping()
        self._report_broken()
        self._flush_metrics()
        await self.reloader.leave()
        await self.catalog.stop()
        await self.store.close()
        if self._seats is not None:
            self._seats.leave()

    def count_refused(self, status: int) -> None:
        """Count a request that was refused on its connection, before any application saw it."""
        self.metrics.requests_tally.add(OTHER, status, 0.0)

    async def _answer_all(self) -> None:
        """Answer everything accepted. Done before uvicorn stops, which cuts off questions and closes WebSockets."""
        await asyncio.gather(self.steps.drain(), self._core.open_answers.drain(), self.application.stream.stop())

    async def _open_store(self) -> None:
        """Reach the store, which checks it after a crash of the machine, and log what it may lose."""
        await self.store.count()
        await self._store_watch.check()

    def _new_reloader(self, settings: Settings, worker_index: int) -> Reloader:
        return Reloader(
            self.catalog,
            self.store,
            f"{os.uname().nodename}:{settings.server.port}:{worker_index}",
            configured_bundles(settings.bundles),
            followed=settings.bundles.followed,
            answer_seconds=settings.server.request_timeout_seconds,
            clock=self.store.clock,
        )

    def _new_fast_port(self) -> FastPort:
        server = self._server
        application, tally = self.application, self.metrics.requests_tally
        single_steps = SingleSteps(
            self.steps, self._core.answer_room, self._keys, application.origins, tally, server.max_body_bytes
        )
        return FastPort(
            application.plain,
            None if server.access_log else single_steps,  # the application logs what it answers
            self.count_refused,
            server.host,
            server.fast_port,
            server.max_body_bytes,
        )

    async def _take_seat(self) -> None:
        """Wait until another worker is needed. A worker that is asked to stop meanwhile has nothing to finish."""
        if self._seats is not None and not await finishes_before_sigterm(self._seats.wait()):
            await self.stop()
            flush_output()
            os._exit(0)

    def _flush_metrics(self) -> None:
        for kind, num_open in connections.num_open.items():
            self.metrics.connections.labels(kind).set(num_open)
        self.metrics.flush()

    def _report_broken(self) -> None:
        if num_broken := connections.take_broken():
            self.metrics.connections_broken.inc(num_broken)
            logger.warning(
                "connections that broke, because their clients read nothing for %g seconds: %d",
                UNREAD_MILLISECONDS / 1000,
                num_broken,
            )

    def _return_memory(self) -> None:
        if self.is_idle and (self._core.answer_room.has_emptied() or self._growth.is_large):
            gc.collect()  # a request that was broken off leaves its answer in a cycle of exception and frame
            return_freed_memory()
            self._growth.settle()

    @property
    def is_idle(self) -> bool:
        """Whether neither a step nor a whole question is under way."""
        return self.steps.is_idle and self.catalog.is_idle

    @property
    def is_serving(self) -> bool:
        """Whether it has started, was not asked to stop, and answers questions and steps."""
        is_started = self._has_started and not self._draining.has_begun
        has_failed = self.store.is_moved or (self._fast_port is not None and self._fast_port.has_failed)
        return is_started and self.catalog.is_serving and not has_failed


def _set_up_process() -> None:
    """Set what holds for the whole process. It must count in the service's files before any metric is made."""
    die_with_parent()
    keep_freed_memory()
    sys.setswitchinterval(SWITCH_SECONDS)
    join_service()
