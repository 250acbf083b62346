"""BentoML's process manager takes orders from its own process alone."""

from pathlib import Path

import psutil
import pytest
from bentoml._internal.utils.circus import create_standalone_arbiter
from circus.arbiter import Arbiter  # type: ignore[import-untyped]

from service.process.process_manager import listen_privately


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
