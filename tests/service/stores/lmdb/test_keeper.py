"""A chore that is done again and again."""

import logging
import threading

import pytest

from service.stores.lmdb.keeper import Keeper


def test_a_chore_that_fails_is_logged_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    is_done_again = threading.Event()
    turns: list[int] = []

    def chore() -> None:
        turns.append(len(turns))
        if len(turns) == 1:
            raise OSError("no disk")
        is_done_again.set()

    keeper = Keeper(chore, 0.001)
    keeper.start()
    assert is_done_again.wait(10)
    keeper.stop()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_keeper_that_was_stopped_can_be_started_again() -> None:
    is_done = threading.Event()
    keeper = Keeper(is_done.set, 0.001)
    for _ in range(2):
        is_done.clear()
        keeper.start()
        assert is_done.wait(10)
        keeper.stop()
    num_threads = threading.active_count()
    keeper.start()
    keeper.start()
    assert threading.active_count() == num_threads + 1
    keeper.stop()
    assert threading.active_count() == num_threads
