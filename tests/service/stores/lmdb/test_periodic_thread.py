"""Work that is done again and again."""

import logging
import threading

import pytest

from service.stores.lmdb.periodic_thread import PeriodicThread


def test_work_that_fails_is_logged_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    is_done_again = threading.Event()
    turns: list[int] = []

    def work() -> None:
        turns.append(len(turns))
        if len(turns) == 1:
            raise OSError("no disk")
        is_done_again.set()

    thread = PeriodicThread(work, 0.001)
    thread.start()
    assert is_done_again.wait(10)
    thread.stop()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_thread_that_was_stopped_can_be_started_again() -> None:
    is_done = threading.Event()
    thread = PeriodicThread(is_done.set, 0.001)
    for _ in range(2):
        is_done.clear()
        thread.start()
        assert is_done.wait(10)
        thread.stop()
    num_threads = threading.active_count()
    thread.start()
    thread.start()
    assert threading.active_count() == num_threads + 1
    thread.stop()
    assert threading.active_count() == num_threads
