"""Whether a disk has room for what a store may hold."""

import os
import shutil
from pathlib import Path

import pytest

from service.stores.lmdb.disk_room import lack_of_room

MEBIBYTE = 2**20


class Usage:
    """Of a disk with 100 MiB left."""

    free = 100 * MEBIBYTE


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that takes 20 MiB, on a disk that has 100 more."""
    (tmp_path / "data.mdb").write_bytes(os.urandom(MEBIBYTE) * 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    return tmp_path


def test_what_a_store_takes_already_is_room_for_it(directory: Path) -> None:
    assert lack_of_room(directory, 60 * MEBIBYTE) is None


def test_a_disk_with_less_than_twice_the_limit_is_told_with_what_would_fit(directory: Path) -> None:
    told = lack_of_room(directory, 61 * MEBIBYTE)
    assert told is not None
    assert f"the session store in {directory} has 120 MiB for it" in told
    assert "the 61 MiB that UNROLLED_MAX_STORE_BYTES allows" in told
    assert told.endswith(f"set that to {48 * MEBIBYTE} or less")
