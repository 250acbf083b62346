"""Whether a caller may use a stored record, and whether it has expired. Pure."""

from service.errors import SessionDamaged, SessionGone, SessionUnknown
from service.record.body import Body
from service.stores.base import CHECKPOINT, Damaged, Record


class Expired(SessionGone):
    """The session has expired, and is not buried yet.

    Attributes:
        record: Its record.
    """

    def __init__(self, record: Record) -> None:
        super().__init__(f"session {record.session_id!r} is over: expired", "expired")
        self.record = record


def admitted(record: Record | Damaged | None, session_id: str, owner: str, now: float) -> Record:
    """Return a record if it is that of a live session of this owner.

    Raises:
        SessionUnknown: There never was one for this owner.
        SessionDamaged: What is stored differs from what was written.
        SessionGone: The session is over.
        Expired: The session has expired, and nobody has buried it yet.
    """
    if isinstance(record, Damaged):
        raise SessionDamaged(f"the record of session {session_id!r} is damaged; the session cannot continue")
    if record is None or record.owner != owner or record.ended == CHECKPOINT:
        raise SessionUnknown(f"there is no session {session_id!r}")
    if record.ended:
        raise SessionGone(f"session {session_id!r} is over: {record.ended}", record.ended)
    if is_expired(record, now):
        raise Expired(record)
    return record


def is_expired(record: Record, now: float) -> bool:
    """Whether a live record has been idle for too long."""
    return record.expires_at <= now


def check_lifetime(record: Record, body: Body, max_lifetime_seconds: int, now: float) -> None:
    """Raise Expired if a session has reached the maximum lifetime, however recently it was used."""
    if body.ends_at(max_lifetime_seconds) <= now:
        raise Expired(record)
