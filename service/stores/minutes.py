"""Whole minutes since 1970, by which stores file records."""

SECONDS_PER_MINUTE = 60


def last_over(now: int) -> int:
    """The last minute whose 60 seconds have all come: whatever is due in it, to the second, is due by now."""
    return (now + 1) // SECONDS_PER_MINUTE - 1
