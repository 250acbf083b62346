"""A cache of the sessions that this process committed last, so that their next step need not load them.

An entry is only a guess: the compare-and-swap that commits a step fails if the session has moved on since, and the step
is retried from the store's record. The cache pays off where one process takes all of a store's steps.
"""

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from service.record.body import HEAD_BYTES, Body, decode, extra_of
from service.record.expiry import idle_seconds_of, ttl_seconds_at
from service.record.sequence_state import SINGLE_ROW
from service.stores.base import Record

MAX_BYTES = 2**16  # of a session's body; only bodies with hundreds of channels or with kept inputs are larger


class GroupKey(NamedTuple):
    """What sessions must share for their next records to differ only in numbers."""

    owner: str
    bundle: str
    idle_seconds: int
    extra_length: int


class CachedSession:
    """A session after a step.

    Attributes:
        step: Number of its next step.
        used_at: When it took its last step. All times are wall-clock seconds since 1970.
        expires_at: When its record expires.
        ends_at: When it reaches the maximum lifetime of a session.
        no_cohort_from: When it stops taking steps in a cohort: it is then over, or its body must store the idle time.
        num_bytes: Length of its body.
        group_key: Which sessions it can step with. None if its body holds more than one row of state and an answer.
        head, answer, extra, row: Parts of its body (see `service.record.body`); set only if it has a group key.

    Args:
        record: Its record, with an empty body.
        body: The body's content.
        encoded: The body's bytes.
        ends_at: See above.
    """

    def __init__(self, record: Record, body: Body, encoded: bytes, ends_at: int) -> None:
        self._record = record
        self._body: Body | None = body
        self.step, self.used_at, self.expires_at, self.ends_at = record.step, record.used_at, record.expires_at, ends_at
        self.num_bytes = len(encoded)
        self._idle_seconds, self._is_cut = idle_seconds_of(record, body), bool(body.idle_seconds)
        self.no_cohort_from = ends_at if self._is_cut else ends_at - self._idle_seconds
        self.group_key: GroupKey | None = None
        if _is_plain(body):
            self.head = encoded[:HEAD_BYTES]
            self.answer, self.extra, (self.row,) = body.answer, extra_of(body), body.state.rows
            self.group_key = GroupKey(record.owner, record.bundle, self._idle_seconds, len(self.extra))

    @property
    def record(self) -> Record:
        """Its record, with an empty body."""
        if self._record.step != self.step:
            ttl_seconds = self.expires_at - self.used_at
            self._record = self._record._replace(step=self.step, used_at=self.used_at, ttl_seconds=ttl_seconds)
        return self._record

    @property
    def body(self) -> Body:
        """The content of its body."""
        if self._body is None:
            self._body = decode(b"".join((self.head, self.answer, self.extra, self.row)))
        return self._body

    def ttl_seconds_at(self, now: int) -> int:
        """Return the time to live of its record after a step in a cohort, in seconds.

        It is cut to what is left of the session's lifetime only if it was cut before; a newly cut one would need the
        idle time in the body. So a step that takes very long can let the record outlive the session a little.
        """
        return ttl_seconds_at(now, self._idle_seconds, self.ends_at) if self._is_cut else self._idle_seconds

    def advance(self, used_at: int, ttl_seconds: int, head: bytes, answer: bytes, row: bytes) -> None:
        """Update this to the session after its next step. It must have a group key.

        Args:
            used_at: When the step was taken.
            ttl_seconds: Time to live of the new record.
            head, answer, row: The new parts of the body.
        """
        self.step += 1
        self.expires_at = used_at + ttl_seconds
        self.num_bytes += len(answer) - len(self.answer)
        self.used_at, self.head, self.answer, self.row = used_at, head, answer, row
        self._body = None


class SessionCache:
    """A cache of up to `max_sessions` sessions, without large ones; the least recently used is evicted first.

    Attributes:
        is_in_use: Whether sessions are remembered at all.
        find: Returns a session by its id, or None if it is not remembered.
    """

    def __init__(self, max_sessions: int) -> None:
        self._max_sessions = max_sessions
        self._sessions: dict[str, CachedSession] = {}
        self.is_in_use = max_sessions > 0
        self.find = self._sessions.get

    def __len__(self) -> int:
        return len(self._sessions)

    def pop(self, session_id: str) -> CachedSession | None:
        """Remove and return a session, or return None if it is not remembered."""
        return self._sessions.pop(session_id, None)

    def put(self, session_id: str, session: CachedSession) -> None:
        """Remember a session unless it is large."""
        self.put_all({session_id: session})

    def put_all(self, sessions: Mapping[str, CachedSession]) -> None:
        """Remember sessions except for large ones."""
        if not self.is_in_use:
            return
        self._sessions.update(
            (session_id, each) for session_id, each in sessions.items() if each.num_bytes <= MAX_BYTES
        )
        num_over = max(0, len(self._sessions) - self._max_sessions)
        # Collect the keys first: a new iterator for each deletion would skip over all entries deleted before.
        for session_id in list(islice(self._sessions, num_over)):
            del self._sessions[session_id]


def _is_plain(body: Body) -> bool:
    """Whether a body holds nothing but one row of state and the last answer."""
    state = body.state
    return state.labels == SINGLE_ROW and not state.pending and body.inputs is None and body.before is None
