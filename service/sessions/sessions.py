"""Sessions: sequences that live between requests. `openings` begins them, `service.steps` takes their steps.

Sessions are written by compare-and-swap on their records, so any process may write them and no lock is needed. Time
comes from a clock that is passed in. Knows no HTTP.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence

from service.errors import SessionDamaged
from service.forms.sessions import SessionPage, SessionView
from service.record.admission import Expired, admitted, check_lifetime
from service.record.body import Body
from service.sessions.graveyard import Graveyard
from service.sessions.live_session import LiveSession
from service.steps.step_rules import MAX_ATTEMPTS, contended, readable
from service.stores.base import Record, Store, Swap
from service.stores.outage import or_unavailable

RECORDS_AT_ONCE = 64  # of a page: each record may have a quarter of a megabyte of kept inputs


class Sessions:
    """The live sessions of all served models.

    Args:
        store: Keeps their records.
        max_lifetime_seconds: The maximum lifetime of a session, however it is used.
        graveyard: Buries sessions that their owners end.
        bury_expired: Called with a record that has expired.
        invalidate: Called with the id of each record just before it is written.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        max_lifetime_seconds: int,
        graveyard: Graveyard,
        bury_expired: Callable[[Record], None],
        invalidate: Callable[[str], object],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._max_lifetime_seconds = max_lifetime_seconds
        self._graveyard = graveyard
        self._bury_expired = bury_expired
        self._invalidate = invalidate
        self._clock = clock

    async def get(self, owner: str, session_id: str) -> SessionView:
        """Return a session as its owner sees it."""
        return (await self.load(owner, session_id)).view()

    async def page(self, owner: str, after: str, limit: int) -> SessionPage:
        """Return some of an owner's live sessions, in a fixed order of their ids, beginning after `after`."""
        found: list[SessionView] = []
        last: str | None = after
        while last is not None and limit > 0:
            views, last = await self._page_part(owner, last, min(limit, RECORDS_AT_ONCE))
            found += views
            limit -= RECORDS_AT_ONCE
            await asyncio.sleep(0)
        return SessionPage(sessions=found, next=last)

    async def _page_part(self, owner: str, after: str, limit: int) -> tuple[list[SessionView], str | None]:
        """Return the live sessions among the next `limit` records, and the id after which there are more."""
        records = await or_unavailable(self._store.page(owner, after, limit))
        live, now = [record for record in records if not record.ended], self._clock()
        views = [loaded.view() for loaded in self._readable(live) if loaded.expires_at > now]
        return views, records[-1].session_id if len(records) == limit else None

    async def end(self, owner: str, session_id: str) -> None:
        """End a session. Its id is remembered for a while, but not its state."""
        for _ in range(MAX_ATTEMPTS):
            record = await self.load_record(owner, session_id)
            if await or_unavailable(self._graveyard.bury(record, "ended")):
                return
        raise contended(record.step)

    async def end_at(self, owner: str, session_id: str, step: int) -> None:
        """End a session unless it has moved beyond this step or its id now stands for another session."""
        record = await self.load_record(owner, session_id)
        if record.step == step:
            await or_unavailable(self._graveyard.bury(record, "ended"))

    async def load(self, owner: str, session_id: str) -> LiveSession:
        """Load a live session of an owner, with its content.

        Raises:
            SessionUnknown: It never existed for this owner.
            SessionGone: It is over.
            SessionDamaged: It cannot be read.
        """
        record = await self.load_record(owner, session_id)
        loaded = self._read(record)
        try:
            check_lifetime(record, loaded.body, self._max_lifetime_seconds, self._clock())
        except Expired:
            self._bury_expired(record)
            raise
        return loaded

    async def load_record(self, owner: str, session_id: str) -> Record:
        """Load the record of an owner's live session."""
        (record,) = await or_unavailable(self._store.load([session_id]))
        try:
            return admitted(record, session_id, owner, self._clock())
        except Expired as expired:
            self._bury_expired(expired.record)
            raise

    async def write(self, swap: Swap) -> bool:
        """Compare and swap one record, and return whether it was written."""
        self._invalidate(swap.record.session_id)
        (written,) = await or_unavailable(self._store.swap([swap]))
        return written

    async def find_record(self, record_id: str) -> Record | None:
        """Load a record of any kind. Return None if there is none or it is damaged."""
        (record,) = await or_unavailable(self._store.load([record_id]))
        return record if isinstance(record, Record) else None

    async def delete_records(self, record_ids: Collection[str]) -> None:
        """Delete records of any kind."""
        if record_ids:
            await or_unavailable(self._store.delete(list(record_ids)))

    def live_session(self, record: Record, body: Body) -> LiveSession:
        """Return a session from its record and its decoded body."""
        return LiveSession(record, body, body.ends_at(self._max_lifetime_seconds))

    def _read(self, record: Record) -> LiveSession:
        return self.live_session(record, readable(record, self._clock()))

    def _readable(self, records: Sequence[Record]) -> Iterator[LiveSession]:
        for record in records:
            with contextlib.suppress(SessionDamaged):
                yield self._read(record)
