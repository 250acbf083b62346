"""Whole minutes since 1970, under which stores index records."""

SECONDS_PER_MINUTE = 60


def last_over(now: int) -> int:
    """Return the last minute that has begun its 60th second, so that everything due in it is due by now."""
    return (now + 1) // SECONDS_PER_MINUTE - 1
