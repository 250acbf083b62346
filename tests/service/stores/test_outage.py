"""How much is logged of a store that cannot be used."""

import logging

import pytest

from service.errors import StepConflict, StoreUnavailable
from service.stores.base import Unavailable
from service.stores.outage import QUIET_SECONDS, Outage, or_logged
from tests.fakes.clock import Clock
from tests.fakes.process import Process
from tests.fakes.stores import FaultyStore
from tests.service.steps.cohort.together import ask, known, taken

GONE = Unavailable("it is gone")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock(100.0)


@pytest.fixture
def outage(clock: Clock, caplog: pytest.LogCaptureFixture) -> Outage:
    """One that has not begun."""
    caplog.set_level(logging.INFO)
    return Outage(clock)


def test_refusals_are_told_once_in_a_while_with_their_number(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        outage.fail(GONE)
    clock.now += QUIET_SECONDS
    outage.fail(GONE)
    assert caplog.messages == [
        "the session store cannot be used: it is gone",
        "the session store cannot be used: it is gone (5 requests refused since the last line)",
    ]


def test_one_refused_request_is_told_as_one(outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    outage.fail(GONE)
    outage.fail(GONE)
    clock.now += QUIET_SECONDS
    outage.fail(GONE, is_request=False)
    line = "the session store cannot be used: it is gone"
    assert caplog.messages == [line, f"{line} (1 request refused since the last line)"]


def test_work_in_the_background_is_told_but_not_counted_as_requests(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for num_requests in (0, 0, 2):
        for _ in range(5):
            outage.fail(GONE, is_request=False)
        for _ in range(num_requests):
            outage.fail(GONE)
        clock.now += QUIET_SECONDS
    outage.fail(GONE, is_request=False)
    line = "the session store cannot be used: it is gone"
    assert caplog.messages == [line, line, line, f"{line} (2 requests refused since the last line)"]


@pytest.mark.anyio
async def test_work_in_the_background_tells_the_beginning_and_the_end_of_an_outage(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stores.outage._outage", outage)
    store = FaultyStore()
    store.is_down = True
    for _ in range(3):
        await or_logged(store.note("a", b""))
    store.is_down = False
    clock.now += QUIET_SECONDS
    await or_logged(store.note("a", b""))
    assert caplog.messages == ["the session store cannot be used: by a test", "the session store can be used again"]


def test_its_end_is_told_once(outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    outage.answer()
    for number, told in ((1, ""), (2, "; 1 more request was refused"), (3, "; 2 more requests were refused")):
        for _ in range(number):
            outage.fail(GONE)
        clock.now += QUIET_SECONDS
        for _ in range(2):
            outage.answer()
        assert caplog.messages == [
            "the session store cannot be used: it is gone",
            f"the session store can be used again{told}",
        ]
        caplog.clear()


def test_calls_that_are_answered_beside_others_that_fail_end_nothing(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(9):
        outage.fail(GONE)
        outage.answer()
        clock.now += QUIET_SECONDS / 20
    assert len(caplog.messages) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("first_answered", ["load", "swap", "advance"])
async def test_its_end_is_told_though_clients_only_take_steps(
    outage: Outage,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    first_answered: str,
) -> None:
    monkeypatch.setattr("service.stores.outage._outage", outage)
    store = FaultyStore()
    async with Process(store, max_recent=100) as process:
        ids, unknown = await known(process), await process.create()
        store.is_down = True
        with pytest.raises(StoreUnavailable):
            await process.text(unknown, "a")
        store.is_down = False
        clock.now += QUIET_SECONDS
        match first_answered:
            case "load":
                with pytest.raises(StepConflict):
                    await process.text(unknown, "a", step=7)
            case "swap":
                await process.text(ids[0], "a")
            case "advance":
                await taken(process, [ask(each, 1) for each in ids])
    assert caplog.messages[-2:] == [
        "the session store cannot be used: by a test",
        "the session store can be used again",
    ]
