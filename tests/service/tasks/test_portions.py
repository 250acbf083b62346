"""Work in portions."""

import pytest

from service.tasks.portions import portions


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([2, 2, 1], [[2, 2, 1]]),
        ([2, 2, 2], [[2, 2], [2]]),
        ([9, 1, 9, 9], [[9], [1], [9], [9]]),
        ([0, 5, 0, 5, 0], [[0, 5, 0], [5, 0]]),
    ],
)
def test_sizes_add_up_to_the_most_but_for_what_is_larger_by_itself(sizes: list[int], expected: list[list[int]]) -> None:
    assert list(portions(sizes, sizes, 5)) == expected
