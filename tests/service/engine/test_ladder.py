"""Cutting lengths into rungs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.ladder import common_rung, covering_rung, exact_rung

SIZES = (1, 8, 32)


def cut(length: int, sizes: tuple[int, ...]) -> list[int]:
    """The rungs that a length is cut into."""
    rungs: list[int] = []
    while length:
        rungs.append(exact_rung(length, sizes))
        length -= rungs[-1]
    return rungs


def test_a_length_is_cut_from_its_largest_rung_down() -> None:
    assert cut(45, SIZES) == [32, 8, 1, 1, 1, 1, 1]


@given(st.integers(0, 500), st.sets(st.integers(2, 64), max_size=4))
def test_a_cut_covers_the_length_exactly_and_never_climbs(length: int, others: set[int]) -> None:
    rungs = cut(length, (1, *sorted(others)))
    assert sum(rungs) == length
    assert rungs == sorted(rungs, reverse=True)


def test_no_rung_fits_what_is_shorter_than_all() -> None:
    with pytest.raises(ValueError, match="no rung of"):
        exact_rung(3, (4, 8))


@pytest.mark.parametrize(("remaining", "rung"), [(1, 8), (8, 8), (9, 32), (32, 32), (33, 32)])
def test_a_covering_rung_is_the_smallest_that_holds_all_else_the_largest(remaining: int, rung: int) -> None:
    assert covering_rung(remaining, (8, 32)) == rung


@pytest.mark.parametrize(
    ("spans", "rung"),
    [
        ([(0, 45)], 32),
        ([(0, 45), (0, 9), (0, 9)], 8),
        ([(0, 45), (0, 40), (0, 9), (0, 1)], 8),
        ([(0, 1), (0, 40), (0, 40), (0, 40)], 1),
        ([(32, 45), (0, 9), (0, 9)], 32),
        ([(0, 8), (32, 40), (32, 40), (0, 3)], 1),
        ([(0, 8), (0, 8), (0, 8), (0, 7)], 8),
        ([(0, 9), (8, 9), (8, 9), (0, 1), (0, 1)], 8),
        ([(0, 9), (8, 9), (2, 3), (0, 1)], 8),
        ([(0, 8), (0, 8), (2, 3)], 8),
    ],
)
def test_a_batch_takes_the_longest_rung_that_its_first_row_and_enough_others_can(
    spans: list[tuple[int, int]], rung: int
) -> None:
    assert common_rung(spans, SIZES, num_enough=3) == rung


@given(st.lists(st.tuples(st.sampled_from([0, 8, 32]), st.integers(32, 90)), min_size=1), st.integers(1, 20))
def test_the_first_row_can_always_take_the_common_rung(spans: list[tuple[int, int]], num_enough: int) -> None:
    least, most = spans[0]
    assert least <= common_rung(spans, SIZES, num_enough) <= most
