"""Whole minutes since 1970, by which stores file records."""

SECONDS_PER_MINUTE = 60


def last_over(now: int) -> int:
    """The last minute that is over at a wall-clock second: no record that is due in it can still be used."""
    return (now + 1) // SECONDS_PER_MINUTE - 1
