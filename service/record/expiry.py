"""When a session expires: once it has been idle for too long, or has lived as long as one may. Pure.

A record's time to live ends with the earlier of the two, since that is what its store files it by. From when on that is
the end of the lifetime, the body keeps how long the session may be idle: its forks inherit it, and so does the session
itself, should its lifetime become longer.
"""

from service.record.body import Body
from service.stores.base import Record


def idle_seconds_of(record: Record, body: Body) -> int:
    """How long a session may be idle."""
    return body.idle_seconds or record.ttl_seconds


def kept_idle_seconds(record: Record, body: Body, ends_at: int, now: int) -> int:
    """The idle seconds that the body of a session that is used now keeps from then on.

    Args:
        record, body: The session before.
        ends_at: When it has lived as long as one may.
        now: Wall-clock seconds since 1970, as all times.

    Returns:
        0 as long as the record's time to live is the session's idle time.
    """
    return body.idle_seconds or (record.ttl_seconds if ends_at - now < record.ttl_seconds else 0)


def ttl_seconds_at(now: int, idle_seconds: int, ends_at: int) -> int:
    """The time to live of the record of a session that is used now, and may be idle for so long."""
    return max(0, min(idle_seconds, ends_at - now))
