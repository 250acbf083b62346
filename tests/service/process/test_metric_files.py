"""The directory in which the processes of a service count."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from service.process import metric_files
from service.process.metric_files import NUM_BYTES, VARIABLE, join_service, keep_within, merge_ended, reserve_totals
from service.process.service_directory import DirectoryUnusable, create_service_directory, directory_errors

PORT = 47
WORKER = """
import os, sys, time
from service.process.metric_files import join_service
join_service()
from service.metrics import Metrics
metrics = Metrics()
metrics.step_conflicts.inc(float(sys.argv[1]))
metrics.requests_tally.add("/steps", 200, 0.5)
metrics.state_bytes.set(float(sys.argv[1]))
metrics.connections.labels("http").set(float(sys.argv[1]))
metrics.flush()
"""
VERSIONS = """
def serve(number):
    observer = metrics.observer(f"sum:{number}")
    for rung in range(10):
        observer.count_run("encode", rung, [0.1], 0.1, 1)
    metrics.flush()
    metrics.keep_room()
"""
READER = """
import asyncio, os
os.environ["PROMETHEUS_MULTIPROC_DIR"] = {directory!r}
from service.metrics import Metrics
print(Metrics()._collected().decode())
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are, of a test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("DIRECTORY_OF_UNROLLED", "")  # which it was before, afterwards
    return tmp_path


@pytest.fixture
def files(directory: Path) -> Path:  # noqa: ARG001  where it is made
    return begin()


def begin() -> Path:
    """The directory of a service whose first process is this one."""
    files = create_service_directory(PORT)
    with directory_errors(files):
        reserve_totals(files)
    return files


def run(script: str, *arguments: str) -> tuple[int, str]:
    """The process id of a worker that has ended, and what it has printed."""
    environment = {**os.environ, VARIABLE: "/nowhere"}
    words = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603  words of this test
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return process.pid, printed


def counted(files: Path) -> set[str]:
    _, printed = run(READER.format(directory=str(files)))
    wanted = (
        "rnn_step_conflicts_total ",
        "rnn_requests_total{",
        "rnn_request_duration_seconds_sum{",
        "rnn_state_bytes ",
        "rnn_connections{",
    )
    return {line for line in printed.splitlines() if line.startswith(wanted)}


def room_of(files: Path, process: int) -> tuple[int, int]:
    """The bytes of a process's file of histograms, and how many of them are reserved on the disk."""
    told = (files / f"histogram_{process}.db").stat()
    return told.st_size, told.st_blocks * 512


def test_bundle_versions_that_are_served_no_longer_are_not_told_and_leave_room(files: Path) -> None:
    one_by_one = "for n in range(60):\n    serve(n)\n    metrics.forget(f'sum:{n - 1}')\n"
    process, printed = run(WORKER + VERSIONS + one_by_one + "print(metrics._collected().decode())", "3")
    told = printed.splitlines()
    assert 'rnn_steps_total{bundle="sum:59"} 10.0' in told
    assert 'rnn_batch_rows_count{bundle="sum:59",rung="encode-7"} 1.0' in told
    assert not [line for line in told if "sum:" in line and "sum:59" not in line]
    assert "rnn_step_conflicts_total 3.0" in told
    assert 'rnn_request_duration_seconds_count{endpoint="/steps"} 1.0' in told
    assert room_of(files, process) == (NUM_BYTES["histogram"], NUM_BYTES["histogram"])


@pytest.mark.usefixtures("files")
def test_a_bundle_version_that_is_served_again_after_its_series_were_dropped_is_counted_anew() -> None:
    again = "for n in [*range(60), 0]:\n    serve(n)\n    metrics.forget(f'sum:{n - 1}')\n"
    _, printed = run(WORKER + VERSIONS + again + "print(metrics._collected().decode())", "3")
    told = printed.splitlines()
    assert 'rnn_batch_rows_count{bundle="sum:0",rung="encode-7"} 1.0' in told
    assert 'rnn_batch_rows_sum{bundle="sum:0",rung="encode-7"} 1.0' in told


def test_more_is_reserved_before_a_file_is_full(files: Path) -> None:
    all_at_once = "for n in range(60):\n    serve(n)\n"
    process, printed = run(WORKER + VERSIONS + all_at_once + "print(metrics._collected().decode())", "3")
    assert len([line for line in printed.splitlines() if line.startswith("rnn_steps_total{")]) == 60
    size, reserved = room_of(files, process)
    assert reserved >= size > NUM_BYTES["histogram"]


def test_what_the_ended_have_counted_is_added_up(files: Path) -> None:
    first, _ = run(WORKER, "1")
    second, _ = run(WORKER, "2")
    kept = {
        "rnn_step_conflicts_total 3.0",
        'rnn_requests_total{code="200",endpoint="/steps"} 2.0',
        'rnn_request_duration_seconds_sum{endpoint="/steps"} 1.0',
        "rnn_state_bytes 2.0",
    }
    assert counted(files) == {*kept, 'rnn_connections{kind="http"} 3.0'}
    merge_ended(files, lambda: {second})
    assert not list(files.glob(f"*_{first}.db"))
    assert len(list(files.glob(f"*_{second}.db"))) == len(NUM_BYTES)
    assert counted(files) == {*kept, 'rnn_connections{kind="http"} 2.0'}
    merge_ended(files, set)
    assert {path.stem.rpartition("_")[2] for path in files.glob("*.db")} == {"ended"}
    assert counted(files) == kept


def test_who_begins_while_counts_are_added_up_loses_none(files: Path) -> None:
    begun = files / "counter_7.db"

    def living() -> set[int]:
        begun.touch()
        return set()

    merge_ended(files, living)
    assert begun.exists()


def test_a_file_that_is_being_read_is_left_as_it_is_until_later(tmp_path: Path) -> None:
    file = MmapedDict(str(tmp_path / "histogram_7.db"))
    for number in range(400):
        labels = {"bundle": f"sum:{number}"}
        file.write_value(json.dumps(["rnn_steps", "rnn_steps_total", labels, "x" * 100]), 1.0, 0.0)
    num_used = file._used
    forgotten = {f"sum:{number}" for number in range(399)}
    with (tmp_path / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        keep_within(file, forgotten)
        assert file._used == num_used
    keep_within(file, forgotten)
    assert len(list(file.read_all_values())) == 1
    file.close()


def test_what_is_reserved_is_not_kept_open(tmp_path: Path) -> None:
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    reserve_totals(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


@pytest.mark.parametrize("call", ["posix_fallocate", "mkdir"])
def test_a_full_disk_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(metric_files.os, call, fail)
    with pytest.raises(DirectoryUnusable, match=rf"cannot be kept in {directory}.*: No space left on device"):
        begin()


def test_a_process_that_no_service_has_started_counts_where_it_did(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(directory))
    join_service()
    assert os.environ[VARIABLE] == str(directory)
    assert not list(directory.iterdir())


def test_what_is_counted_is_read_though_its_directory_was_removed(files: Path) -> None:
    removed = WORKER + "import shutil\nshutil.rmtree(os.environ['PROMETHEUS_MULTIPROC_DIR'])\n"
    _, printed = run(removed + "print(metrics._collected().decode())", "3")
    assert "rnn_step_conflicts_total 3.0" in printed.splitlines()
    run(WORKER, "4")
    assert "rnn_step_conflicts_total 4.0" in counted(files)
    assert files.stat().st_mode & 0o777 == 0o700


def test_counts_of_many_names_have_their_room_before_they_are_written(files: Path) -> None:
    many = "for n in range(2000):\n    metrics.requests_tally.add(f'/{n:09d}', 200, 0.5)\nmetrics.flush()\n"
    run(WORKER + many, "1")
    merge_ended(files, set)
    ended = (files / "histogram_ended.db").stat()
    assert ended.st_size > NUM_BYTES["histogram"]
    assert ended.st_blocks * 512 >= ended.st_size
