"""Whose a port is, with processes that hold it."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.fast_port.lock import PortTaken, hold_port
from service.process.service_directory import DirectoryUnusable

PORT = 3001
HOLDER = """
import sys
from pathlib import Path
from service.fast_port.lock import hold_port
held = hold_port(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(directory: Path, service: int, port: int = PORT) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a port, until it is killed."""
    command = [sys.executable, "-c", HOLDER, str(port), str(service), str(directory)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[ExitStack]:
    """A lock of this process, for service 7, which ends with the test."""
    with hold_port(PORT, 7, tmp_path) as lock:
        yield lock


def test_workers_of_one_service_share_their_port(tmp_path: Path, held: ExitStack) -> None:
    with holding(tmp_path, 7), holding(tmp_path, 7):
        assert held


def test_another_service_is_refused_and_told_whose_it_is(tmp_path: Path) -> None:
    with holding(tmp_path, 7), pytest.raises(PortTaken, match="process 7"):
        hold_port(PORT, 8, tmp_path)


def test_other_ports_are_free(tmp_path: Path, held: ExitStack) -> None:
    assert held
    with holding(tmp_path, 8, PORT + 1):
        pass


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "in reverse"])
def test_a_port_is_held_while_any_worker_lives_and_free_after_the_last_was_killed(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    with holding(tmp_path, 7) as first, holding(tmp_path, 7) as second:
        workers = [first, second]
        for each in order:
            with pytest.raises(PortTaken):
                hold_port(PORT, 8, tmp_path)
            workers[each].kill()
            workers[each].wait()
        with holding(tmp_path, 8):
            pass


def test_a_service_with_a_shorter_number_than_the_one_before_is_named_by_its_own(tmp_path: Path) -> None:
    hold_port(PORT, 12345, tmp_path).close()
    with holding(tmp_path, 7), pytest.raises(PortTaken, match="process 7:"):
        hold_port(PORT, 8, tmp_path)


def places(temporary: Path) -> list[Path]:
    """Where the locks may lie, the usual place first."""
    name = f"unrolled-ports-{os.geteuid()}"
    return [temporary / f"{name}{number}.locks" for number in ("", "-1", "-2", "-3")]


def squat_by_a_file(place: Path) -> None:
    place.touch()


def squat_by_a_directory_for_all(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


def squat_by_a_link(place: Path) -> None:
    elsewhere = place.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    place.symlink_to(elsewhere)


def squat_as_another_user(place: Path) -> None:
    place.mkdir()
    os.chown(place, 65534, 65534)


@pytest.mark.parametrize(
    "squat",
    [
        squat_by_a_file,
        squat_by_a_directory_for_all,
        squat_by_a_link,
        pytest.param(
            squat_as_another_user, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
        ),
    ],
)
def test_who_takes_the_name_of_the_locks_keeps_nobody_from_starting(
    tmp_path: Path, squat: Callable[[Path], None]
) -> None:
    usual, other, *_ = places(tmp_path)
    squat(usual)
    with holding(tmp_path, 7), holding(tmp_path, 7), pytest.raises(PortTaken, match="process 7"):
        hold_port(PORT, 8, tmp_path)
    assert list(tmp_path.rglob("*.lock")) == [other / f"{PORT}.lock"]


def test_a_service_that_finds_no_place_at_first_shares_that_of_another_which_starts_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another does between two calls of this one."""
    usual, other, *_ = places(tmp_path)
    usual.touch()
    held = ExitStack()
    mkdir = Path.mkdir

    def late(path: Path, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  whatever pathlib's has
        monkeypatch.undo()
        held.enter_context(holding(tmp_path, 7))
        mkdir(path, *arguments, **more)

    monkeypatch.setattr(Path, "mkdir", late)
    with held, pytest.raises(PortTaken, match="process 7"):
        hold_port(PORT, 8, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([usual, other])


def test_a_place_where_every_directory_is_open_to_all_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def open_to_all(path: Path, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  whatever pathlib's has
        assert len(list(tmp_path.iterdir())) < 10
        mkdir(path, *arguments, **more)
        path.chmod(0o777)

    monkeypatch.setattr(Path, "mkdir", open_to_all)
    with pytest.raises(DirectoryUnusable, match=rf"no directory in {tmp_path} can be this user's alone"):
        hold_port(PORT, 7, tmp_path)


def test_only_this_user_may_enter_where_the_locks_are(tmp_path: Path, held: ExitStack) -> None:
    (place,) = tmp_path.iterdir()
    assert held
    assert place == places(tmp_path)[0]
    assert place.stat().st_mode & 0o777 == 0o700


def test_where_the_locks_are_is_locked_while_one_is_held_so_that_it_is_not_removed_as_old(tmp_path: Path) -> None:
    held = hold_port(PORT, 7, tmp_path)
    directory = os.open(places(tmp_path)[0], os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.close()
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(directory)


def test_a_lock_of_former_versions_that_another_user_has_left_keeps_nobody_from_starting(tmp_path: Path) -> None:
    (tmp_path / f"unrolled-port-{PORT}.lock").mkdir()
    with holding(tmp_path, 7):
        pass


def test_what_was_killed_leaves_a_lock_that_hurts_nobody(tmp_path: Path) -> None:
    for service in (7, 8):
        with holding(tmp_path, service) as holder:
            holder.kill()
            holder.wait()
    assert len(list(tmp_path.rglob("*.lock"))) == 1


def test_a_place_that_takes_no_lock_is_told(tmp_path: Path) -> None:
    with pytest.raises(DirectoryUnusable, match=r"cannot be kept in .*/nothing: No such file or directory"):
        hold_port(PORT, 7, tmp_path / "nothing")
