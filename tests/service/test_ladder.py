"""Cutting lengths into rungs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ladder import covering_rung, exact_rung

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
    rungs = cut(length, (1, *others))
    assert sum(rungs) == length
    assert rungs == sorted(rungs, reverse=True)


def test_no_rung_fits_what_is_shorter_than_all() -> None:
    with pytest.raises(ValueError, match="no rung of"):
        exact_rung(3, (4, 8))


@pytest.mark.parametrize(("remaining", "rung"), [(1, 8), (8, 8), (9, 32), (32, 32), (33, 32)])
def test_a_covering_rung_is_the_smallest_that_holds_all_else_the_largest(remaining: int, rung: int) -> None:
    assert covering_rung(remaining, (8, 32)) == rung
