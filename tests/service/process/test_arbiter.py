"""BentoML's process manager takes orders from its own process alone."""

import psutil
import pytest
from bentoml._internal.utils.circus import create_standalone_arbiter
from circus.arbiter import Arbiter  # type: ignore[import-untyped]

from service.process.arbiter import take_no_orders


def listening() -> set[int]:
    return {each.laddr.port for each in psutil.Process().net_connections("tcp") if each.status == psutil.CONN_LISTEN}


def test_no_port_is_opened_for_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arbiter, "__init__", Arbiter.__init__)  # as it was, afterwards
    before = listening()
    take_no_orders()
    arbiter = create_standalone_arbiter([])
    try:
        arbiter.initialize()
        assert listening() == before
    finally:
        arbiter.ctrl.stop()
        arbiter.evpub_socket.close()
