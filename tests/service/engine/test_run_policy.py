"""When a run starts, of how many rows, and where."""

import pytest

from service.engine.job import RowJob
from service.engine.run_policy import INLINE_SECONDS, LONE_INLINE_SECONDS, RunPolicy
from service.engine.scheduler import ENOUGH_ROWS, Batch, Lane

MOST = 3 * ENOUGH_ROWS
BATCH = Batch(Lane("encode", 1), (RowJob("encode", 1),))


def policy(num_running: int = 0, *, may_run_inline: bool = True) -> RunPolicy:
    """A policy with some runs under way."""
    policy = RunPolicy(MOST, may_run_inline)
    for _ in range(num_running):
        policy.run_started()
    return policy


@pytest.mark.parametrize(
    ("num_running", "num_next", "starts"),
    [(0, 1, True), (1, ENOUGH_ROWS - 1, False), (1, ENOUGH_ROWS, True), (2, MOST, False)],
)
def test_a_second_run_is_prepared_only_if_it_is_as_good_as_it_gets(
    num_running: int, num_next: int, starts: bool
) -> None:
    own = policy(num_running)
    assert (own.is_idle or own.may_be_second(num_next)) is starts


@pytest.mark.parametrize(
    ("num_running", "num_next", "num_rows"),
    [
        (0, 2 * ENOUGH_ROWS - 1, None),
        (0, 2 * ENOUGH_ROWS, ENOUGH_ROWS),
        (0, 2 * ENOUGH_ROWS + 1, ENOUGH_ROWS + 1),
        (0, MOST + 1, None),
        (1, 2 * ENOUGH_ROWS, None),
    ],
)
def test_rows_that_are_enough_for_two_runs_are_halved_where_none_is_under_way(
    num_running: int, num_next: int, num_rows: int | None
) -> None:
    assert policy(num_running).num_rows(num_next) == num_rows


def after_a_run_of(seconds: float, *, may_run_inline: bool = True) -> RunPolicy:
    """A policy that knows how long a run takes."""
    own = policy(1, may_run_inline=may_run_inline)
    own.run_ended()
    own.learn(BATCH, seconds)
    return own


def test_a_short_run_is_inline_and_so_is_a_longer_one_of_a_row_that_is_alone() -> None:
    policies = [after_a_run_of(each) for each in (INLINE_SECONDS * 0.9, LONE_INLINE_SECONDS * 0.9, LONE_INLINE_SECONDS)]
    assert [own.runs_inline(BATCH, is_alone=False) for own in policies] == [True, False, False]
    assert [own.runs_inline(BATCH, is_alone=True) for own in policies] == [True, True, False]


def test_a_run_that_fails_soon_teaches_nothing_and_one_that_fails_late_that_it_may_be_long() -> None:
    own = policy()
    own.learn(BATCH, 0.0, has_failed=True)
    assert not own.is_short(BATCH.lane, 1, is_alone=True)
    own.learn(BATCH, LONE_INLINE_SECONDS * 0.9)
    assert own.is_short(BATCH.lane, 1, is_alone=True)
    for _ in range(100):
        own.learn(BATCH, 0.0, has_failed=True)
    assert not own.is_short(BATCH.lane, 1, is_alone=False)
    own.learn(BATCH, LONE_INLINE_SECONDS * 2, has_failed=True)
    assert not own.is_short(BATCH.lane, 1, is_alone=True)


def test_a_run_is_for_the_thread_beside_another_or_where_nobody_knows_how_long_it_takes() -> None:
    assert not policy().runs_inline(BATCH, is_alone=True)
    assert not after_a_run_of(0.0, may_run_inline=False).runs_inline(BATCH, is_alone=True)
    beside = after_a_run_of(0.0)
    beside.run_started()
    assert not beside.runs_inline(BATCH, is_alone=True)
