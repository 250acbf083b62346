"""Whole minutes since 1970, by which stores file records."""

SECONDS_PER_MINUTE = 60


def last_over(now: int) -> int:
    """The last minute that has begun its 60th second, so that all that is due in it is due by now."""
    return (now + 1) // SECONDS_PER_MINUTE - 1
