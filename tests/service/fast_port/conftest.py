"""What tests of connections share."""

import pytest

from service.protocols import http
from tests.fakes.port import Port


@pytest.fixture
def impatient(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may be silent for a second."""
    monkeypatch.setattr(http, "KEEP_ALIVE_SECONDS", 1)
    port.config.timeout_keep_alive = 1
