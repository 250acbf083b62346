"""BentoML's process manager takes orders from its own process alone, and goes on when the wall clock is set back."""

import asyncio
import time
from pathlib import Path

import psutil
import pytest
from bentoml._internal.utils.circus import create_standalone_arbiter
from circus.arbiter import Arbiter  # type: ignore[import-untyped]
from circus.util import AsyncPeriodicCallback  # type: ignore[import-untyped]
from tornado.ioloop import IOLoop

from service.process.process_manager import ignore_wall_clock, listen_privately


def listening() -> set[int]:
    return {each.laddr.port for each in psutil.Process().net_connections("tcp") if each.status == psutil.CONN_LISTEN}


@pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")  # circus, from Python 3.12 on
@pytest.mark.parametrize("name", ["short", "long" * 30])
def test_no_port_is_opened_for_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(Arbiter, "__init__", Arbiter.__init__)  # as it was, afterwards
    before, directory = listening(), tmp_path / name
    directory.mkdir()
    listen_privately(directory)
    arbiter = create_standalone_arbiter([])
    try:
        arbiter.initialize()
        arbiter.ctrl.initialize()
        assert listening() == before
        assert {path.name for path in directory.iterdir()} == ({"orders", "events"} if name == "short" else set())
    finally:
        arbiter.ctrl.stop()
        arbiter.evpub_socket.close()


@pytest.mark.anyio
async def test_a_wall_clock_that_is_set_back_delays_no_look_at_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IOLoop, "time", IOLoop.time)  # as it was, afterwards
    ignore_wall_clock()
    now, looks = time.time, asyncio.Queue[None]()
    manager = AsyncPeriodicCallback(lambda: looks.put_nowait(None), 10)  # as the manager looks after its workers
    manager.start()
    try:
        await looks.get()
        monkeypatch.setattr(time, "time", lambda: now() - 600)
        for _ in range(3):
            await asyncio.wait_for(looks.get(), 5)
    finally:
        manager.stop()
