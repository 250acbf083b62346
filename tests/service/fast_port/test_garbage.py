"""Requests leave no cycles: those of a million steps take half a second to collect, in which nobody is answered."""

import gc
from collections.abc import Awaitable, Callable, Iterator

import orjson
import pytest
from websockets.asyncio.client import ClientConnection

from service.keys.keys import ANONYMOUS
from tests.fakes.port import Connection, Port
from tests.fakes.process import Process

pytestmark = pytest.mark.anyio

Request = Callable[[Connection, ClientConnection, list[str]], Awaitable[object]]


@pytest.fixture(autouse=True)
def _keep_garbage() -> Iterator[None]:
    """Keep what is found instead of freeing it."""
    yield
    gc.set_debug(0)
    gc.enable()
    gc.garbage.clear()


async def step(connection: Connection, _: ClientConnection, ids: list[str]) -> None:
    """Take a step that passes the application by."""
    connection.step(ids[0])
    await connection.answer()


async def step_in_text(connection: Connection, _: ClientConnection, ids: list[str]) -> None:
    """Take a step that the application takes."""
    connection.send(f"/sessions/{ids[0]}/steps", b'{"inputs":{"text":"a"}}', "content-type: application/json")
    await connection.answer()


async def refused_step(connection: Connection, _: ClientConnection, ids: list[str]) -> None:
    """Ask for a step that is far ahead."""
    connection.step(ids[0], step=10_000)
    await connection.answer()


async def refused_text(connection: Connection, _: ClientConnection, ids: list[str]) -> None:
    """Ask the application for a step that is far ahead."""
    body = b'{"inputs":{"text":"a"},"step":10000}'
    connection.send(f"/sessions/{ids[0]}/steps", body, "content-type: application/json")
    await connection.answer()


async def invalid_step(connection: Connection, _: ClientConnection, ids: list[str]) -> None:
    """Ask for a step of no token."""
    connection.step(ids[0], inputs={"ids": [10_000]})
    await connection.answer()


async def malformed_step(connection: Connection, _: ClientConnection, ids: list[str]) -> None:
    """Ask for something else."""
    connection.send(f"/sessions/{ids[0]}/steps", b'{"inputs":7}', "content-type: application/json")
    await connection.answer()


async def step_of_nobody(connection: Connection, _: ClientConnection, ids: list[str]) -> None:
    """Ask for a step of a session that never was."""
    connection.step("A" * 28)
    await connection.answer()


async def many_refused(connection: Connection, _: ClientConnection, ids: list[str]) -> None:
    """Ask for steps of many sessions that are far ahead."""
    items = [{"session_id": each, "inputs": {"ids": [1]}, "step": 10_000} for each in ids]
    connection.send("/steps", orjson.dumps({"items": items}), "content-type: application/json")
    await connection.answer()


async def many_steps(connection: Connection, _: ClientConnection, ids: list[str]) -> None:
    """Take steps of many sessions."""
    items = [{"session_id": each, "inputs": {"ids": [1]}} for each in ids]
    connection.send("/steps", orjson.dumps({"items": items}), "content-type: application/json")
    await connection.answer()


async def messages(_: Connection, stream: ClientConnection, ids: list[str]) -> None:
    """Take steps on a stream."""
    for each in ids:
        await stream.send(orjson.dumps({"session_id": each, "inputs": {"ids": [1]}}).decode())
    for _each in ids:
        await stream.recv()


async def refused_messages(_: Connection, stream: ClientConnection, ids: list[str]) -> None:
    """Send what is no message, and ask for a step that is far ahead, on a stream."""
    for text in ("{", orjson.dumps({"session_id": ids[0], "inputs": {"ids": [1]}, "step": 10_000}).decode()):
        await stream.send(text)
        await stream.recv()


REQUESTS = [
    step,
    step_in_text,
    many_steps,
    messages,
    refused_step,
    refused_text,
    many_refused,
    refused_messages,
    invalid_step,
    malformed_step,
    step_of_nobody,
]


@pytest.mark.parametrize("request_", REQUESTS)
async def test_a_request_leaves_no_cycle(port: Port, process: Process, request_: Request) -> None:
    ids = [await process.create(ANONYMOUS) for _ in range(8)]
    async with port.connected() as connection, port.stream() as stream:
        await request_(connection, stream, ids)
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        for _ in range(20):
            await request_(connection, stream, ids)
        gc.collect()
    ours = [each for each in gc.garbage if _module_of(each).startswith("service.")]
    assert len(ours) < 20, {repr(each) for each in ours}


def _module_of(each: object) -> str:
    return str(getattr(each, "__module__", ""))
