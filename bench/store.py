"""A million live sessions in the LMDB store: speed of steps, size of the store, and memory of the worker.

A service with few sessions and one with many run at once, each on its own store, and are measured in turn.
"""

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from bench.clients.http import request
from bench.clients.loop import http_loop
from bench.compare import milliseconds, rate
from bench.figure import Figure, Unavailable
from bench.load import Load, alternate, ratio
from bench.measurement_process import MeasurementProcess
from bench.options import Options
from bench.processes import anonymous_bytes
from bench.requests import V, single_step, step_path
from bench.service import Service
from service.record.body import decode
from service.record.ids import new_session_id
from service.settings import SessionSettings
from service.stores.base import Record, Store, Swap
from service.stores.connect import open_store

FEW = 1000
CONNECTIONS = 64
REQUESTS_EACH = 2000
FILL_RECORDS = 1000
STEPS_BEFORE = 3
TTL_SECONDS = 30 * 86400
SPARE_BYTES = 6000  # disk space per session, a generous estimate
P99_LIMIT, MEMORY_LIMIT = 1.5, 1.1
BEYOND_STATE_LIMIT = 4.7 - 4.096  # KB: 4.7 KB were promised for a state of 4 KiB


@dataclass(frozen=True)
class Filled:
    """A service with a filled store. Each session has `state_bytes` of state."""

    service: Service
    folder: Path
    session_ids: list[str]
    state_bytes: int

    @property
    def disk_bytes(self) -> int:
        """Bytes that the store occupies on disk."""
        return sum(file.stat().st_blocks * 512 for file in self.folder.rglob("*") if file.is_file())

    @property
    def memory_bytes(self) -> int:
        """Bytes of the worker's own resident memory."""
        return anonymous_bytes(self.service.worker)


def measure(options: Options) -> list[Figure]:
    """Measure steps of random sessions out of a thousand, and out of all."""
    with ExitStack() as stack:
        few, many = (stack.enter_context(_Filling(count)) for count in (FEW, options.sessions))
        runs = {f"{len(each.session_ids):,}": stack.enter_context(_client(each)).run for each in (few, many)}
        few_loads, many_loads = alternate("store", runs, options.rounds, options.seconds).values()
        bytes_each = (many.disk_bytes - few.disk_bytes) / (len(many.session_ids) - len(few.session_ids))
        beyond_state = bytes_each - many.state_bytes
        memory = many.memory_bytes / few.memory_bytes
        own = many.memory_bytes
    title = f"steps of {options.sessions:,} sessions"
    p99 = ratio(*([load.latency.p99 for load in loads] for loads in (many_loads, few_loads)))
    return [
        Figure(f"{title}: p99, of that of {FEW:,}", p99, "x", at_most=P99_LIMIT),
        Figure(f"{title}: p99", _p99(many_loads), "ms"),
        milliseconds(title, many_loads),
        rate(title, many_loads, "steps/s"),
        Figure("a session on disk", bytes_each / 1000, "KB"),
        Figure("a session on disk, beyond its state", beyond_state / 1000, "KB", at_most=BEYOND_STATE_LIMIT),
        Figure(f"worker's own memory, of that with {FEW:,} sessions", memory, "x", at_most=MEMORY_LIMIT),
        Figure("worker's own memory", own / 1e6, "MB"),
    ]


class _Filling(ExitStack):
    """Starts a service and fills its store."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def __enter__(self) -> Filled:  # type: ignore[override]  # the filled service, not the stack that closes it
        super().__enter__()
        try:
            return self._filled()
        except BaseException:
            self.close()
            raise

    def _filled(self) -> Filled:
        folder = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="bench-store-")))
        free = shutil.disk_usage(folder).free
        if free < self._count * SPARE_BYTES:
            raise Unavailable(f"{self._count:,} sessions need {self._count * SPARE_BYTES / 1e9:.0f} GB in {folder}")
        url = f"lmdb://{folder / 'sessions'}"
        limits = {"UNROLLED_STORE": url, "UNROLLED_MAX_SESSIONS": str(2 * self._count)}
        service = self.enter_context(Service(settings=limits))
        template = _stepped_session(service)
        settings = SessionSettings(store=url, max_sessions=2 * self._count)
        session_ids, state_bytes = asyncio.run(_fill(open_store(settings), template, self._count))
        return Filled(service, folder, session_ids, state_bytes)


def _stepped_session(service: Service) -> str:
    """Open a typical session and take a few steps. Returns its id."""
    (session_id,) = service.open_sessions(1)
    with httpx.Client(base_url=service.url, headers=service.headers) as client:
        for _ in range(STEPS_BEFORE):
            body = {"inputs": {"ids": [1]}, "return": "argmax"}
            client.post(step_path(session_id), json=body).raise_for_status()
    return session_id


async def _fill(store: Store, template_id: str, count: int) -> tuple[list[str], int]:
    """Copy a session `count` times through the store's own methods. Returns the ids, and the bytes of its state."""
    (template,) = await store.load([template_id])
    if not isinstance(template, Record):
        raise TypeError(f"the store has no sound record of {template_id}: {template}")
    session_ids: list[str] = []
    with tqdm(total=count, desc="filling the store", unit="session", leave=False, disable=None) as bar:
        for start in range(0, count, FILL_RECORDS):
            now = time.time()
            size = min(FILL_RECORDS, count - start)
            records = [_copy(template, new_session_id(now), int(now)) for _ in range(size)]
            if not all(await store.swap([Swap(record, None) for record in records])):
                raise RuntimeError("the store refused a fresh session")
            session_ids += [record.session_id for record in records]
            bar.update(len(records))
    await store.close()
    return session_ids, sum(map(len, decode(template.body).state.rows))


def _copy(template: Record, session_id: str, now: int) -> Record:
    return template._replace(session_id=session_id, used_at=now, ttl_seconds=TTL_SECONDS)


def _client(filled: Filled) -> MeasurementProcess[Load]:
    """Make a client whose connections step random sessions, all different."""
    generator = np.random.default_rng(0)
    each = min(REQUESTS_EACH, len(filled.session_ids) // CONNECTIONS)
    drawn = generator.choice(len(filled.session_ids), (CONNECTIONS, each), replace=False).tolist()
    requests = [
        [_request(filled, filled.session_ids[index], int(generator.integers(V))) for index in own] for own in drawn
    ]
    return MeasurementProcess(http_loop, filled.service.fast_address, requests)


def _request(filled: Filled, session_id: str, token: int) -> bytes:
    return request(step_path(session_id), single_step([token]), filled.service.headers)


def _p99(loads: Sequence[Load]) -> float:
    return 1000 * statistics.median(load.latency.p99 for load in loads)
