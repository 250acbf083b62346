"""Streams of events: the first of them, and how long it took."""

from collections.abc import AsyncGenerator

import pytest

from service.concurrency.streams import begun, timed

pytestmark = pytest.mark.anyio


class Numbers:
    """A stream from 1 on, which fails at a number and knows whether it was closed."""

    def __init__(self, fails_at: int = 0) -> None:
        self.is_closed = False
        self._fails_at = fails_at

    async def told(self) -> AsyncGenerator[int]:
        try:
            for number in range(1, 4):
                if number == self._fails_at:
                    raise ValueError(number)
                yield number
        finally:
            self.is_closed = True


async def test_a_stream_that_has_begun_tells_its_first_event_too() -> None:
    assert [number async for number in await begun(Numbers().told())] == [1, 2, 3]


async def test_what_fails_before_the_first_event_is_raised_at_the_beginning_and_the_rest_where_it_is_told() -> None:
    with pytest.raises(ValueError, match="1"):
        await begun(Numbers(fails_at=1).told())
    events = await begun(Numbers(fails_at=2).told())
    assert await anext(events) == 1
    with pytest.raises(ValueError, match="2"):
        await anext(events)


@pytest.mark.parametrize("is_timed", [False, True])
async def test_a_stream_that_nobody_listens_to_any_more_is_closed(is_timed: bool) -> None:
    numbers = Numbers()
    events = timed(numbers.told(), lambda _: None) if is_timed else await begun(numbers.told())
    assert await anext(events) == 1
    await events.aclose()
    assert numbers.is_closed


async def test_the_time_to_the_first_event_is_told_once() -> None:
    told = list[float]()
    events = timed(Numbers().told(), told.append)
    assert (await anext(events), len(told)) == (1, 1)
    assert [number async for number in events] == [2, 3]
    assert len(told) == 1


async def test_a_stream_that_fails_at_once_has_no_time_to_tell() -> None:
    told = list[float]()
    with pytest.raises(ValueError, match="1"):
        await anext(timed(Numbers(fails_at=1).told(), told.append))
    assert told == []
