"""Whether a stored record may be used by who asks for it. Pure."""

from service.errors import SessionDamaged, SessionGone, SessionUnknown
from service.stores.base import CHECKPOINT, Damaged, Record


def admitted(record: Record | Damaged | None, session_id: str, owner: str, now: float) -> Record:
    """A record, where it is that of a live session of its owner.

    Raises:
        SessionUnknown: There never was one for this owner.
        SessionDamaged: What is stored is not what was written.
        SessionGone: It is over; `reason` is "expired" too where nobody has buried it yet.
    """
    if isinstance(record, Damaged):
        raise SessionDamaged(f"the record of session {session_id!r} is damaged; it cannot go on")
    if record is None or record.owner != owner or record.ended == CHECKPOINT:
        raise SessionUnknown(f"there is no session {session_id!r}")
    if record.ended:
        raise SessionGone(f"session {session_id!r} is over: {record.ended}", record.ended)
    if is_expired(record, now):
        raise SessionGone(f"session {session_id!r} is over: expired", "expired")
    return record


def is_expired(record: Record, now: float) -> bool:
    """Whether a live record has been idle for too long."""
    return record.used_at + record.ttl_seconds <= now
