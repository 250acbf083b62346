"""What the first process makes of its workers' starts."""

import logging

import pytest

from service.process.messages import BEAT, FAILED, READY, Message
from service.process.starts import MAX_STARTS, Starts

LIMIT = 300 * 2**20


class Kernel:
    """Counts whom it killed for memory."""

    num_kills = 7  # before this service began

    def __call__(self) -> int:
        return self.num_kills


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def starts(kernel: Kernel) -> Starts:
    return Starts(num_workers=2, num_kills=kernel, limit=LIMIT)


def test_workers_that_die_again_and_again_before_one_is_ready_are_hopeless(starts: Starts) -> None:
    pids = set(range(100, 100 + MAX_STARTS * 2))
    assert starts.see(pids) is None
    assert starts.see(pids) is None
    assert "6 worker processes ended before one was ready" in (starts.see({200}) or "")


def test_a_worker_that_is_alive_and_not_ready_does_not_make_the_others_less_hopeless(starts: Starts) -> None:
    assert starts.record(Message(100, BEAT)) is None
    assert starts.has_served is False
    assert starts.see(set(range(7))) is not None


def test_the_memory_limit_is_named_where_the_kernel_killed_them(starts: Starts, kernel: Kernel) -> None:
    kernel.num_kills += 5
    reason = starts.see(set(range(7)))
    assert reason == "processes killed by the kernel because memory reached its limit of 300 MiB: 5"


def test_where_there_is_no_limit_the_machine_is_named(kernel: Kernel) -> None:
    starts = Starts(num_workers=2, num_kills=kernel, limit=None)
    kernel.num_kills += 1
    assert "because the machine had no memory left: 1" in (starts.see(set(range(7))) or "")


def test_once_one_was_ready_no_death_ends_the_service(starts: Starts) -> None:
    assert starts.record(Message(100, READY)) is None
    assert starts.see(set(range(100))) is None
    assert starts.record(Message(100, FAILED, "the store is down")) is None


def test_a_failure_before_that_is_the_reason(starts: Starts) -> None:
    assert starts.record(Message(100, FAILED, "the store is down")) == "the store is down"


def test_a_kill_for_memory_is_logged_when_another_worker_is_ready(
    starts: Starts, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        starts.record(Message(100, READY))
        assert not caplog.records
        kernel.num_kills += 1
        starts.record(Message(100, READY))
        assert not caplog.records
        starts.see({100, 101})
        starts.record(Message(101, READY))
        starts.record(Message(101, READY))
        starts.record(Message(102, READY))
        assert len(caplog.records) == 1
        starts.see({101})
        kernel.num_kills += 2
        starts.record(Message(102, READY))  # another process by the same number
    assert caplog.messages == [
        f"processes killed by the kernel because memory reached its limit of 300 MiB: {num}; a replacement is ready now"
        for num in (1, 2)
    ]
