"""The sessions that this process has committed last, as they stood then: their next step need not load them again.

It is no state, only a guess that is checked: the compare-and-swap that commits a step fails if the session has moved on
since, and the step is taken again from what the store has. Worth it where one process takes all of a store's steps.
"""

from typing import NamedTuple

from service.body import Body
from service.stores.base import Record

MAX_BYTES = 2**16  # of a session: one of hundreds of channels or with its inputs kept is the store's to hold


class Latest(NamedTuple):
    """A session after a step.

    Attributes:
        record: Its record, without the bytes of the body.
        body: Its content.
    """

    record: Record
    body: Body


class Recent:
    """The latest of so many sessions that are not large, the least recently used forgotten first."""

    def __init__(self, max_sessions: int) -> None:
        self._max_sessions = max_sessions
        self._latest: dict[str, Latest] = {}

    def take(self, session_id: str) -> Latest | None:
        """A session's latest, which is forgotten until it is put again."""
        return self._latest.pop(session_id, None)

    def put(self, latest: Latest, num_bytes: int) -> None:
        """Remember a session as it stands now, of so many bytes in the store."""
        if not self._max_sessions or num_bytes > MAX_BYTES:
            return
        self._latest[latest.record.session_id] = latest
        if len(self._latest) > self._max_sessions:
            del self._latest[next(iter(self._latest))]
