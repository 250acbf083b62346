"""Requests leave no cycles: they are collected while clients wait, a million objects in up to half a second."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.keys.keys import ANONYMOUS
from service.stores.base import Store
from service.stores.limits import Limits
from service.stores.lmdb.store import LmdbStore
from service.stores.memory import MemoryStore
from tests.fakes.binary import binary_message
from tests.fakes.port import Port
from tests.fakes.process import Process

pytestmark = pytest.mark.anyio

NUM_REQUESTS = 20
IDS, TEXT = {"inputs": {"ids": [1]}, "return": "none"}, {"inputs": {"text": "a"}}
STEPS: dict[str, dict[str, Any]] = {
    "a step that passes the application by": IDS,
    "a step that the application takes": TEXT,
    "a step that is far ahead": {**IDS, "step": 10_000},
    "a step in text that is far ahead": {**TEXT, "step": 10_000},
    "no token": {"inputs": {"ids": [10_000]}},
    "no integer": {"inputs": {"ids": ["a"]}},
    "no id": {"inputs": {"ids": []}},
    "no integer of 64 bits": {"inputs": {"ids": [10**23]}},
    "no text": {"inputs": {"text": 7}},
    "no such input": {"inputs": {"nothing": 7}},
    "no inputs": {"inputs": 7},
}


@pytest.fixture(autouse=True)
def _free_garbage() -> Iterator[None]:
    yield
    gc.set_debug(0)
    gc.enable()
    gc.garbage.clear()


async def left_by(request: Callable[[], Awaitable[object]]) -> set[str]:
    """What of this project, and of the server's protocols, many such requests leave in cycles."""
    await request()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    for _ in range(NUM_REQUESTS):
        await request()
    await asyncio.sleep(0.01)  # connections that are being closed end
    gc.collect()
    left = [each for each in gc.garbage if str(getattr(each, "__module__", "")).startswith(("service.", "uvicorn."))]
    return {repr(each) for each in left} if len(left) >= NUM_REQUESTS else set()


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_a_step_leaves_no_cycle(port: Port, process: Process, step: dict[str, Any]) -> None:
    path = f"/sessions/{await process.create(ANONYMOUS)}/steps"
    async with port.connected() as connection:

        async def ask() -> None:
            connection.send(path, json.dumps(step).encode(), "content-type: application/json")
            await connection.answer()

        assert await left_by(ask) == set()


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_a_message_leaves_no_cycle(port: Port, process: Process, step: dict[str, Any]) -> None:
    message = json.dumps({"session_id": await process.create(ANONYMOUS), **step})
    async with port.stream() as stream:

        async def ask() -> None:
            await stream.send(message)
            await stream.recv()

        assert await left_by(ask) == set()


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_many_steps_leave_no_cycle(port: Port, process: Process, step: dict[str, Any]) -> None:
    ids = [await process.create(ANONYMOUS) for _ in range(8)]
    body = json.dumps({"items": [{"session_id": each, **step} for each in ids]}).encode()
    async with port.connected() as connection:

        async def ask() -> None:
            connection.send("/steps", body, "content-type: application/json")
            await connection.answer()

        assert await left_by(ask) == set()


async def test_a_binary_message_leaves_no_cycle(port: Port, process: Process) -> None:
    ids = [await process.create(ANONYMOUS) for _ in range(8)]
    message = binary_message(ids, np.ones((8, 1), np.int64))
    async with port.stream() as stream:

        async def ask() -> None:
            await stream.send(message)
            await stream.recv()

        assert await left_by(ask) == set()


@pytest.mark.parametrize("step", [{**TEXT, "step": 10_000}, TEXT], ids=["is far ahead", "generates nothing"])
async def test_a_streamed_step_that_is_refused_leaves_no_cycle(
    port: Port, process: Process, step: dict[str, Any]
) -> None:
    path = f"/sessions/{await process.create(ANONYMOUS)}/steps"
    async with port.connected() as connection:

        async def ask() -> None:
            connection.send(path, json.dumps({**step, "stream": True}).encode(), "content-type: application/json")
            await connection.answer()

        assert await left_by(ask) == set()


async def test_a_stream_that_ends_leaves_no_cycle(port: Port, process: Process) -> None:
    message = json.dumps({"session_id": await process.create(ANONYMOUS), **IDS})

    async def ask() -> None:
        async with port.stream() as stream:
            await stream.send(message)
            await stream.recv()

    assert await left_by(ask) == set()


@pytest.mark.parametrize(
    ("limits", "status"), [(Limits(max_sessions_per_owner=1), 429), (Limits(max_bytes=1), 503)], ids=["quota", "full"]
)
@pytest.mark.parametrize(
    "open_store", [lambda limits, _: MemoryStore(limits), lambda limits, path: LmdbStore(path, limits)]
)
async def test_a_session_without_room_leaves_no_cycle(
    open_store: Callable[[Limits, Path], Store], limits: Limits, status: int, tmp_path: Path
) -> None:
    store = open_store(limits, tmp_path)
    async with Process(store) as process:
        port = Port(process)
        await port.listen()
        async with port.connected() as connection:

            async def ask() -> int:
                connection.send("/sessions", b'{"model": "sum"}', "content-type: application/json")
                answered, *_ = await connection.answer()
                return answered

            await ask()
            left, answered = await left_by(ask), await ask()
        await port.server.stop()
    await store.close()
    assert left == set()
    assert answered == status
