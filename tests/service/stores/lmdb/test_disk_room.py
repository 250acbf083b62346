"""Whether a disk has room for what a store may hold."""

import os
import shutil
from pathlib import Path

import pytest

from service.stores.lmdb.disk_room import DiskShort, check_room, lack_of_room

MEBIBYTE = 2**20


class Usage:
    """Of a disk with 100 MiB left."""

    free = 100 * MEBIBYTE
    total = 1000 * MEBIBYTE


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


@pytest.mark.parametrize(("total", "kept"), [(1000, 16), (256, 16), (64, 4), (4, 0.25), (1, 0.25)])
def test_a_sixteenth_of_the_disk_is_kept_but_no_more_than_16_mib(
    directory: Path, monkeypatch: pytest.MonkeyPatch, total: int, kept: float
) -> None:
    monkeypatch.setattr(Usage, "total", total * MEBIBYTE)
    monkeypatch.setattr(Usage, "free", int(kept * MEBIBYTE))
    check_room(directory, lambda: 0)
    monkeypatch.setattr(Usage, "free", int(kept * MEBIBYTE) - 1)
    with pytest.raises(DiskShort, match=f"is full except for {int(kept * 1024)} KiB"):
        check_room(directory, lambda: 0)
    check_room(directory, lambda: 1)


def test_pages_are_counted_only_on_a_disk_that_is_short(directory: Path) -> None:
    check_room(directory, lambda: pytest.fail("counted"))
