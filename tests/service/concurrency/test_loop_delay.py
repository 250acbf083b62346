"""How late an event loop gets to what is ready."""

import asyncio
import time

import pytest

from service.concurrency.loop_delay import POLL_SECONDS, observe_loop_delay
from service.concurrency.waiting import run_now
from tests.fakes.clock import Clock
from tests.fakes.process import until


def delays(monkeypatch: pytest.MonkeyPatch, late_by: list[float]) -> list[float]:
    """What is observed of a loop whose timers run late by so much, one after another."""
    clock, lateness, observed = Clock(), iter(late_by), list[float]()

    async def sleep(seconds: float) -> None:
        assert seconds == POLL_SECONDS
        late = next(lateness, None)
        if late is None:
            raise asyncio.CancelledError
        clock.now += seconds + late

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        run_now(observe_loop_delay(observed.append, clock))
    return observed


def test_each_timer_is_observed_by_how_late_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delays(monkeypatch, [0.0, 0.25, 0.0, 1.5, 1.5]) == pytest.approx([0.0, 0.25, 0.0, 1.5, 1.5])


def test_a_timer_that_ran_early_was_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delays(monkeypatch, [-0.001, -0.0005]) == [0.0, 0.0]


def test_a_process_that_was_stopped_was_late_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delays(monkeypatch, [0.0, 3600.0, 0.0, 0.0]) == pytest.approx([0.0, 3600.0, 0.0, 0.0])


@pytest.mark.anyio
async def test_a_real_loop_that_is_blocked_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.concurrency.loop_delay.POLL_SECONDS", 0.01)
    observed = list[float]()
    observing = asyncio.create_task(observe_loop_delay(observed.append))
    await until(lambda: bool(observed))
    time.sleep(0.3)  # noqa: ASYNC251  as a long computation would
    await until(lambda: max(observed) > 0.25)
    observing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await observing
    assert min(observed) >= 0.0
