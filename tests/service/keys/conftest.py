"""A file of keys, and whose a token is."""

from pathlib import Path

import pytest

from service.keys.keys import Keys
from tests.fakes.clock import Clock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the keys are."""
    return tmp_path / "keys"


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock(0.0)


def owner_of(keys: Keys, token: str) -> str | None:
    key = keys.find(token.encode())
    return key and key.owner
