"""The sessions that this process has committed last, as they stood then: their next step need not load them again.

It is no state, only a guess that is checked: the compare-and-swap that commits a step fails if the session has moved on
since, and the step is taken again from what the store has. Worth it where one process takes all of a store's steps.
"""

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from service.engine.state import SINGLE_ROW
from service.record.body import HEAD_BYTES, Body, decode, extra_of
from service.record.expiry import idle_seconds_of, ttl_seconds_at
from service.stores.base import Record

MAX_BYTES = 2**16  # of a session: one of hundreds of channels or with its inputs kept is the store's to hold


class GroupKey(NamedTuple):
    """What sessions have in common whose next records differ in numbers only."""

    owner: str
    bundle: str
    idle_seconds: int
    extra_length: int


class Latest:
    """A session after a step.

    Attributes:
        step: Number of its next step.
        used_at: When it took the last one.
        expires_at: When its record is overdue.
        ends_at: When it has lived as long as a session may.
        goes_alone_from: From when on its next step is no other's: it is over, or what its body keeps is to change.
        num_bytes: Of its body.
        group_key: What it has in common with others; None where there is more to it than a row of state.
        head, answer, extra, row: Parts of its body (see `service.record.body`), where it has a group key.

    Args:
        record: Its record, without the bytes of the body.
        body: Its content.
        encoded: Those bytes.
        ends_at: See above.
    """

    __slots__ = (
        "_body",
        "_idle_seconds",
        "_is_cut",
        "_record",
        "answer",
        "ends_at",
        "expires_at",
        "extra",
        "goes_alone_from",
        "group_key",
        "head",
        "num_bytes",
        "row",
        "step",
        "used_at",
    )

    def __init__(self, record: Record, body: Body, encoded: bytes, ends_at: int) -> None:
        self._record = record
        self._body: Body | None = body
        self.step, self.used_at, self.expires_at, self.ends_at = record.step, record.used_at, record.expires_at, ends_at
        self.num_bytes = len(encoded)
        self._idle_seconds, self._is_cut = idle_seconds_of(record, body), bool(body.idle_seconds)
        self.goes_alone_from = ends_at if self._is_cut else ends_at - self._idle_seconds
        self.group_key: GroupKey | None = None
        if _is_plain(body):
            self.head = encoded[:HEAD_BYTES]
            self.answer, self.extra, (self.row,) = body.answer, extra_of(body), body.state.rows
            self.group_key = GroupKey(record.owner, record.bundle, self._idle_seconds, len(self.extra))

    @property
    def record(self) -> Record:
        """Its record, without the bytes of the body."""
        if self._record.step != self.step:
            ttl_seconds = self.expires_at - self.used_at
            self._record = self._record._replace(step=self.step, used_at=self.used_at, ttl_seconds=ttl_seconds)
        return self._record

    @property
    def body(self) -> Body:
        """Its content."""
        if self._body is None:
            self._body = decode(b"".join((self.head, self.answer, self.extra, self.row)))
        return self._body

    def ttl_seconds_at(self, now: int) -> int:
        """The time to live of its record after a step with others.

        A step that has taken so long that the lifetime ends before the session would be idle for too long lets the
        record live for that much longer: its body does not keep how long that is.
        """
        return ttl_seconds_at(now, self._idle_seconds, self.ends_at) if self._is_cut else self._idle_seconds

    def advance(self, used_at: int, ttl_seconds: int, head: bytes, answer: bytes, row: bytes) -> None:
        """Become what it is after its next step; only where it has a group key."""
        self.step += 1
        self.expires_at = used_at + ttl_seconds
        self.num_bytes += len(answer) - len(self.answer)
        self.used_at, self.head, self.answer, self.row = used_at, head, answer, row
        self._body = None


class Recent:
    """The latest of so many sessions that are not large, the least recently used forgotten first.

    Attributes:
        is_in_use: Whether any are remembered.
        find: A session's latest by its id; None where it is not remembered.
    """

    def __init__(self, max_sessions: int) -> None:
        self._max_sessions = max_sessions
        self._latest: dict[str, Latest] = {}
        self.is_in_use = max_sessions > 0
        self.find = self._latest.get

    def __len__(self) -> int:
        return len(self._latest)

    def pop(self, session_id: str) -> Latest | None:
        """A session's latest, which is forgotten until it is put again."""
        return self._latest.pop(session_id, None)

    def put(self, session_id: str, latest: Latest) -> None:
        """Remember a session as it stands now; see `put_all`."""
        self.put_all({session_id: latest})

    def put_all(self, latest: Mapping[str, Latest]) -> None:
        """Remember sessions as they stand now, but those that are large."""
        if not self.is_in_use:
            return
        self._latest.update((session_id, each) for session_id, each in latest.items() if each.num_bytes <= MAX_BYTES)
        num_over = max(0, len(self._latest) - self._max_sessions)
        for session_id in list(islice(self._latest, num_over)):  # one by one, each would pass by those gone before
            del self._latest[session_id]


def _is_plain(body: Body) -> bool:
    """Whether there is nothing to a body but one row of state and the last answer."""
    state = body.state
    return state.labels == SINGLE_ROW and not state.pending and body.inputs is None and body.before is None
