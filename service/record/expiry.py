"""When a session expires: after too long an idle time, or at its maximum lifetime. Pure.

A record's time to live ends with the earlier of the two, since its store indexes it by that. As soon as that is the end
of the lifetime, the body stores how long the session may be idle: forks inherit it, and the session itself needs it if
the maximum lifetime is raised.
"""

import math

from service.record.body import Body
from service.stores.base import Record


def stored_second(now: float) -> int:
    """Return the second that a record stores for a moment: rounded up, so that nothing is over early."""
    return math.ceil(now)


def idle_seconds_of(record: Record, body: Body) -> int:
    """Return how long a session may be idle, in seconds."""
    return body.idle_seconds or record.ttl_seconds


def kept_idle_seconds(record: Record, body: Body, ends_at: int, now: int) -> int:
    """Return the idle seconds that the body of a session used now must store.

    Args:
        record, body: The session before.
        ends_at: When it reaches the maximum lifetime.
        now: Wall-clock seconds since 1970, like all times.

    Returns:
        The idle seconds; 0 as long as the record's time to live equals them.
    """
    return body.idle_seconds or (record.ttl_seconds if ends_at - now < record.ttl_seconds else 0)


def ttl_seconds_at(now: int, idle_seconds: int, ends_at: int) -> int:
    """Return the time to live, in seconds, of the record of a session used now that may be idle this long."""
    return max(0, min(idle_seconds, ends_at - now))
