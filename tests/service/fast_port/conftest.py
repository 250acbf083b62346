"""What tests of connections share."""

import pytest

from service.fast_port import guarded
from tests.fakes.port import Port


@pytest.fixture
def impatient(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may be silent for a second."""
    monkeypatch.setattr(guarded, "KEEP_ALIVE_SECONDS", 1)
    port.config.timeout_keep_alive = 1
