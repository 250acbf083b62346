"""Whether a stored record may be used by a caller, and whether its time is over. Pure."""

from service.errors import SessionDamaged, SessionGone, SessionUnknown
from service.record.body import Body
from service.stores.base import CHECKPOINT, Damaged, Record


class Expired(SessionGone):
    """The session's time is over, and it is not buried yet.

    Attributes:
        record: Its record.
    """

    def __init__(self, record: Record) -> None:
        super().__init__(f"session {record.session_id!r} is over: expired", "expired")
        self.record = record


def admitted(record: Record | Damaged | None, session_id: str, owner: str, now: float) -> Record:
    """Make sure that a record is that of a live session of its owner. Returns the record.

    Raises:
        SessionUnknown: There never was one for this owner.
        SessionDamaged: What is stored is not what was written.
        SessionGone: It is over.
        Expired: It should be.
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
    """Raise Expired where a session has lived as long as one may, however it is used."""
    if body.ends_at(max_lifetime_seconds) <= now:
        raise Expired(record)
