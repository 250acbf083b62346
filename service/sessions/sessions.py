"""Sessions: sequences that live between requests. Their steps are `service.steps`; this is all else that befalls them.

Whoever writes a session compares and swaps its record, so none of this needs a lock, and any process may do it. Time
comes from a clock that is passed in, ids and secrets from the operating system. Knows no HTTP.
"""

import contextlib
import hashlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from service.errors import (
    IdempotencyMismatch,
    InvalidInput,
    ModelUnknown,
    NotStreamable,
    SessionDamaged,
    SessionGone,
    StoreFull,
    StoreUnavailable,
)
from service.forms.sessions import SessionPage, SessionRequest, SessionView
from service.metrics import Metrics
from service.record.admission import admitted
from service.record.body import Body, encode
from service.record.checkpoint_ids import checkpoint_ids, checkpoint_name
from service.record.ids import keyed_session_id, new_session_id
from service.sessions.graveyard import Graveyard
from service.settings import SessionSettings
from service.steps.step_rules import MAX_ATTEMPTS, contended, readable
from service.stores.base import Damaged, Full, Record, Store, Swap, Unavailable
from service.stores.minutes import SECONDS_PER_MINUTE
from service.tasks.task import ServedModel

logger = logging.getLogger(__name__)

T = TypeVar("T")

EVICTED_AT_ONCE = 16
ROOM_TO_EVICTED = 100  # a store with room for so many sessions ends one for one more
MAX_EVICTIONS = 8
SECRET_BYTES = 16
KEY_NOTE = "idempotency"
SWEEP_RECORDS = 1000


class Loaded:
    """A live session as it was loaded: its record and the record's body."""

    def __init__(self, record: Record, body: Body) -> None:
        self.record = record
        self.body = body

    def view(self) -> SessionView:
        """The session as its owner sees it."""
        record = self.record
        return SessionView(
            session_id=record.session_id,
            model=model_name(record.bundle),
            bundle=record.bundle,
            step=record.step,
            expires_at=datetime.fromtimestamp(record.expires_at, UTC).isoformat(timespec="seconds"),
            checkpoints=[checkpoint_name(saved) for saved in self.body.checkpoints],
        )


class Sessions:
    """The sessions of all served models.

    Args:
        store: Keeps their records.
        models: Served models by name.
        settings: Limits.
        metrics: Brought up to date by `measure`.
        graveyard: Buries them.
        moved: Told of each record just before it is written.
        is_under_way: Whether a session has a step in flight here, which keeps it alive.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        models: Mapping[str, ServedModel[Any]],
        settings: SessionSettings,
        metrics: Metrics,
        graveyard: Graveyard,
        moved: Callable[[str], None],
        is_under_way: Callable[[str], bool] = lambda _: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._models = models
        self._settings = settings
        self._metrics = metrics
        self._graveyard = graveyard
        self._is_under_way = is_under_way
        self._moved = moved
        self._clock = clock
        self._secret = b""

    async def create(self, owner: str, request: SessionRequest, idempotency_key: str = "") -> SessionView:
        """Open a session in its model's initial state.

        Raises:
            ModelUnknown: No such model is served.
            NotStreamable: The model needs whole inputs.
            InvalidInput: It asks for a longer life than is allowed.
            IdempotencyMismatch: The key came with another request before.
            StoreFull: There is no room.
        """
        model = self._models.get(request.model)
        if model is None:
            names = sorted(name for name, served in self._models.items() if served.is_streamable)
            raise ModelUnknown(f"no model {request.model!r} is served; there are sessions on {names}")
        if not model.is_streamable:
            raise NotStreamable.of_model(request.model)
        body = self.fresh(model)._replace(inputs=b"" if request.keep_inputs else None)
        loaded = await self.open(
            owner, model.bundle.tag, 0, body, self.ttl(request.ttl_seconds), idempotency_key, request
        )
        return loaded.view()

    async def open(
        self,
        owner: str,
        bundle: str,
        step: int,
        body: Body,
        ttl_seconds: int,
        idempotency_key: str,
        request: BaseModel | bytes,
    ) -> Loaded:
        """Put a new session into the store, or find the one that the same request with the same key has opened."""
        now = self._clock()
        session_id = await self.keyed_id(owner, idempotency_key) if idempotency_key else new_session_id(now)
        body = body._replace(request_digest=_request_digest(request) if idempotency_key else "")
        record = Record(session_id, owner, bundle, step, int(now), ttl_seconds, "", encode(body))
        if await self._insert(record):
            return Loaded(record, body)
        return await self._opened_before(owner, session_id, request)

    async def reopen(self, owner: str, session_id: str, bundle: str, body: Body) -> Record:
        """Open a session under an id that is its owner's, in place of whatever the id has stood for.

        No step that is in flight finds the number that it expects: those of a new session begin at the milliseconds
        since 1970, or behind those of the one that it follows.

        Raises:
            StoreFull: There is no room.
        """
        step, ttl_seconds, content = 0, self.ttl(None), encode(body)
        for _ in range(MAX_ATTEMPTS):
            (before,) = await self._reached(self._store.load([session_id]))
            now = self._clock()
            step = max(int(now * 1000), before.step + 1 if isinstance(before, Record) else 0)
            expected_step = await self._given_way(before)
            record = Record(session_id, owner, bundle, step, int(now), ttl_seconds, "", content)
            if await self._insert(record, expected_step):
                if isinstance(before, Record) and (saved := checkpoint_ids(before)):
                    await self._reached(self._store.delete(saved))
                return record
        raise contended(step)

    async def keyed_id(self, owner: str, key: str) -> str:
        """The id of the session that a key of an owner's stands for, on every worker that shares the store."""
        if not self._secret:
            self._secret = await self._reached(self._store.note_once(KEY_NOTE, secrets.token_bytes(32)))
        return keyed_session_id(self._secret, owner, key)

    async def opened(self, owner: str, idempotency_key: str, request: BaseModel | bytes) -> Loaded | None:
        """The session that the same request with the same key has opened, if it has."""
        session_id = await self.keyed_id(owner, idempotency_key)
        (record,) = await self._reached(self._store.load([session_id]))
        return None if record is None else await self._opened_before(owner, session_id, request)

    async def get(self, owner: str, session_id: str) -> SessionView:
        """A session as its owner sees it."""
        return (await self.load(owner, session_id)).view()

    async def page(self, owner: str, after: str, limit: int) -> SessionPage:
        """Some of an owner's live sessions, in a fixed order of their ids, after the id `after`."""
        records = await self._reached(self._store.page(owner, after, limit))
        live = [record for record in records if not record.ended and record.expires_at > self._clock()]
        return SessionPage(
            sessions=[loaded.view() for loaded in self._readable(live)],
            next=records[-1].session_id if len(records) == limit else None,
        )

    async def end(self, owner: str, session_id: str) -> None:
        """End a session; its id is remembered for a while, its state is not."""
        for _ in range(MAX_ATTEMPTS):
            record = await self.record(owner, session_id)
            if await self._reached(self._graveyard.bury(record, "ended")):
                return
        raise contended(record.step)

    async def end_at(self, owner: str, session_id: str, step: int) -> None:
        """End a session that has gone no further than to that step, and is no other by now."""
        record = await self.record(owner, session_id)
        if record.step == step:
            await self._reached(self._graveyard.bury(record, "ended"))

    async def load(self, owner: str, session_id: str) -> Loaded:
        """A live session of an owner, with its content.

        Raises:
            SessionUnknown, SessionGone, SessionDamaged: There is none, or not any more, or it cannot be read.
        """
        record = await self.record(owner, session_id)
        loaded = self._loaded(record)
        if loaded.body.ends_at(self._settings.max_session_lifetime_seconds) <= self._clock():
            await self.expire(record)
            raise SessionGone(f"session {session_id!r} is over: expired", "expired")
        return loaded

    async def record(self, owner: str, session_id: str) -> Record:
        """The record of an owner's live session."""
        (record,) = await self._reached(self._store.load([session_id]))
        try:
            return admitted(record, session_id, owner, self._clock())
        except SessionGone as error:
            if error.reason == "expired" and isinstance(record, Record) and not record.ended:
                await self.expire(record)
            raise

    async def expire(self, record: Record) -> None:
        """Bury a session whose time is over; whoever fails to will find it again."""
        try:
            await self._graveyard.bury(record, "expired")
        except Unavailable as error:
            logger.warning("session %s could not be buried: %s", record.session_id, error)

    async def write(self, swap: Swap) -> bool:
        """Compare and swap one record."""
        self._moved(swap.record.session_id)
        (written,) = await self._reached(self._store.swap([swap]))
        return written

    async def read(self, record_id: str) -> Record | None:
        """Any record that is not damaged."""
        (record,) = await self._reached(self._store.load([record_id]))
        return record if isinstance(record, Record) else None

    async def delete(self, record_id: str) -> None:
        """Forget any record."""
        await self._reached(self._store.delete([record_id]))

    async def sweep(self) -> int:
        """Bury and forget what is overdue, and keep to the budget of bytes; how many records that were."""
        num_swept = 0
        while True:
            overdue = await self._store.overdue(int(self._clock()), SWEEP_RECORDS)
            over = [record for record in overdue if not self._is_under_way(record.session_id)]
            await self._graveyard.clear(over)
            num_swept += len(over)
            if len(overdue) < SWEEP_RECORDS or not over:
                break
        for _ in range(MAX_EVICTIONS):
            count = await self._store.count()
            if count.num_bytes <= self._settings.max_store_bytes or not await self._evict(EVICTED_AT_ONCE):
                break
        return num_swept

    async def measure(self) -> None:
        """Bring the gauges up to date; where the store cannot be counted they stay: its failures are to be told."""
        try:
            count = await self._store.count()
        except Unavailable as error:
            logger.error("the session store cannot be counted: %s", error)
            return
        self._metrics.sessions_active.set(count.num_live)
        self._metrics.state_bytes.set(count.num_bytes)

    def ttl(self, asked_seconds: int | None) -> int:
        """How long a session may be idle.

        Raises:
            InvalidInput: It asks for more than is allowed.
        """
        ttl = asked_seconds or self._settings.session_ttl_seconds
        if ttl > self._settings.max_session_ttl_seconds:
            raise InvalidInput(
                f"a session may be idle for at most {self._settings.max_session_ttl_seconds} seconds", ("ttl_seconds",)
            )
        return ttl

    async def _opened_before(self, owner: str, session_id: str, request: BaseModel | bytes) -> Loaded:
        found = await self.load(owner, session_id)
        if found.body.request_digest != _request_digest(request):
            raise IdempotencyMismatch("this Idempotency-Key came with another request before")
        return found

    def fresh(self, model: ServedModel[Any]) -> Body:
        """A session that has read nothing."""
        secret = secrets.token_bytes(SECRET_BYTES)
        return Body(created_at=int(self._clock()), secret=secret, state=model.initial_state())

    async def _given_way(self, before: Record | Damaged | None) -> int | None:
        """The step that a new session in a record's place is swapped against; what is over is forgotten first, so that
        the new one needs room as any other."""
        if isinstance(before, Damaged):
            await self.delete(before.session_id)
        elif before is not None and before.ended:
            overdue_at = before.expires_at + SECONDS_PER_MINUTE  # it is filed by the minute
            await self._reached(self._store.delete_overdue([before.session_id], overdue_at))
        elif before is not None:
            return before.step
        return None

    async def _insert(self, record: Record, expected_step: int | None = None) -> bool:
        """Write a new record, making room if there is none; False where another one is there than was expected."""
        few = max(1, self._settings.max_sessions // ROOM_TO_EVICTED)
        for attempt in range(MAX_EVICTIONS):
            try:
                return await self.write(Swap(record, expected_step))
            except Full:
                if not await self._reached(self._evict(min(EVICTED_AT_ONCE, few << attempt))):
                    break
        raise StoreFull("there is no room for another session; end some, or try again later")

    async def _evict(self, most: int) -> int:
        """End the least recently used sessions, but none that has a step in flight here; how many."""
        idlest = await self._store.idlest(EVICTED_AT_ONCE)
        idle = [record for record in idlest if not self._is_under_way(record.session_id)]
        return await self._graveyard.bury_all(idle[:most], "evicted")

    def _loaded(self, record: Record) -> Loaded:
        return Loaded(record, readable(record, self._clock()))

    def _readable(self, records: Sequence[Record]) -> Iterator[Loaded]:
        for record in records:
            with contextlib.suppress(SessionDamaged):
                yield self._loaded(record)

    async def _reached(self, call: Awaitable[T]) -> T:
        """What a call of the store answers, or the refusal that clients are told where it cannot."""
        try:
            return await call
        except Unavailable as error:
            logger.error("the session store cannot be used: %s", error)
            raise StoreUnavailable("the session store cannot be used now; try again") from error


def model_name(tag: str) -> str:
    """The name of the model whose bundle has that tag."""
    return tag.rpartition(":")[0]


def _request_digest(request: BaseModel | bytes) -> str:
    if isinstance(request, BaseModel):
        name = type(request).__name__.encode()
        request = name + orjson.dumps(request.model_dump(), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(request).hexdigest()[:32]
