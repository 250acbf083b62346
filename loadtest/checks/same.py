"""Checks that an answer is the same as before."""

from typing import TypeVar

T = TypeVar("T")


def check_same(answer: T, first: T, failure: str) -> str | None:
    """Check that an answer, or a part of it, is the same as before. Returns `failure` if it is not."""
    return None if answer == first else failure
