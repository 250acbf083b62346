"""Sessions: sequences that live between requests, and what the service promises of them.

    load ─► in order? ─► replay? ─► the model steps ─► compare and swap ─► answer

A step is acknowledged only after the store has it. Time comes from a clock that is passed in, ids and secrets from the
operating system. Knows no HTTP.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

import orjson

from service.deadline import deadline
from service.errors import (
    InvalidInput,
    ModelUnknown,
    SessionDamaged,
    SessionGone,
    SessionUnknown,
    StepConflict,
    StoreFull,
    VersionUnknown,
)
from service.forms import Form, SessionPage, SessionRequest, SessionView, StepAnswer, StepRequest
from service.metrics import Metrics
from service.sampling import derived_seed
from service.settings import SessionSettings
from service.state import SequenceState
from service.stores.base import Full, Record, Store, Swap
from service.stores.codec import RecordDamaged, SessionBody, decode, encode
from service.tasks.task import ServedModel

logger = logging.getLogger(__name__)

MAX_KEPT_ANSWER_BYTES = 64 * 1024
SWEEP_RECORDS = 1000


@dataclass(frozen=True)
class _Loaded:
    """A live session: its record and what the record's body says."""

    record: Record
    body: SessionBody


class Sessions:
    """The sessions of all served models.

    Args:
        store: Keeps their records.
        models: Served models by name.
        settings: Limits.
        metrics: Counts ends, conflicts and replays.
        timeout_seconds: How long a step may take.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        models: Mapping[str, ServedModel[Any]],
        settings: SessionSettings,
        metrics: Metrics,
        timeout_seconds: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._models = models
        self._settings = settings
        self._metrics = metrics
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(self, owner: str, request: SessionRequest) -> SessionView:
        """Open a session in its model's initial state.

        Raises:
            ModelUnknown: No such model is served.
            InvalidInput: It asks for a longer life than is allowed.
            StoreFull: There is no room.
        """
        model = self._models.get(request.model)
        if model is None:
            raise ModelUnknown(f"no model {request.model!r} is served; there are {sorted(self._models)}")
        body = SessionBody(
            model=model.name,
            bundle=model.bundle.tag,
            ttl_seconds=self._ttl(request),
            secret=secrets.token_hex(16),
            state=model.initial_state(),
        )
        record = self._record(secrets.token_urlsafe(24), owner, 0, body)
        try:
            await self._store.swap([Swap(record, expected_step=None)])
        except Full as error:
            raise StoreFull("there is no room for another session; end some, or try again later") from error
        return _view(_Loaded(record, body))

    async def get(self, owner: str, session_id: str) -> SessionView:
        """A session as its owner sees it."""
        return _view(await self._load(owner, session_id))

    async def page(self, owner: str, after: str, limit: int) -> SessionPage:
        """Some of an owner's live sessions, in the order of their ids, after the id `after`."""
        records = await self._store.page(owner, after, limit)
        live = [record for record in records if not record.ended and record.expires_at > self._clock()]
        return SessionPage(
            sessions=[_view(loaded) for record in live if (loaded := _decoded(record))],
            next=records[-1].session_id if len(records) == limit else None,
        )

    async def end(self, owner: str, session_id: str) -> None:
        """End a session; its id is remembered for a while, its state is not."""
        async with self._turn(session_id):
            while not await self._bury(await self._live_record(owner, session_id), "ended"):
                pass  # another process took a step meanwhile: look again

    async def step(self, owner: str, session_id: str, request: StepRequest) -> StepAnswer:
        """Advance a session by one request, exactly once.

        Raises:
            StepConflict: The step named is not the next one and not a repetition of the last.
            SessionUnknown: It never existed for this owner.
            SessionGone: It is over.
            InvalidInput: The model cannot read the inputs.
        """
        async with self._turn(session_id):
            loaded = await self._load(owner, session_id)
            try:
                return await self._step(loaded, request)
            except InvalidInput as error:
                raise error.within("inputs") from None

    async def sweep(self) -> int:
        """Bury sessions whose time is over and forget those that were buried long enough ago; how many there were."""
        overdue = await self._store.expired(self._clock(), SWEEP_RECORDS)
        for record in overdue:
            if record.ended:
                await self._store.delete([record.session_id])
            elif record.session_id not in self._locks:  # a step in flight keeps its session alive
                await self._bury(record, "expired")
        return len(overdue)

    async def measure(self) -> None:
        """Bring the gauges up to date."""
        num_live, num_bytes = await self._store.count()
        self._metrics.sessions_active.set(num_live)
        self._metrics.state_bytes.set(num_bytes)

    def _ttl(self, request: SessionRequest) -> int:
        ttl = request.ttl_seconds or self._settings.session_ttl_seconds
        if ttl > self._settings.max_session_ttl_seconds:
            raise InvalidInput(
                f"a session may be idle for at most {self._settings.max_session_ttl_seconds} seconds", ("ttl_seconds",)
            )
        return ttl

    def _record(self, session_id: str, owner: str, step: int, body: SessionBody) -> Record:
        return Record(session_id, owner, step, self._clock() + body.ttl_seconds, body=encode(body))

    async def _load(self, owner: str, session_id: str) -> _Loaded:
        record = await self._live_record(owner, session_id)
        loaded = _decoded(record)
        if loaded is None:
            raise SessionDamaged(f"the record of session {session_id!r} is damaged; it cannot go on")
        return loaded

    async def _live_record(self, owner: str, session_id: str) -> Record:
        (record,) = await self._store.load([session_id])
        if record is None or record.owner != owner:
            raise SessionUnknown(f"there is no session {session_id!r}")
        if record.ended:
            raise SessionGone(f"session {session_id!r} is over: {record.ended}", record.ended)
        if record.expires_at <= self._clock():
            await self._bury(record, "expired")
            raise SessionGone(f"session {session_id!r} is over: expired", "expired")
        return record

    async def _bury(self, record: Record, reason: str) -> bool:
        """Put a tombstone in a record's place, one step on: a step that was in flight finds its place taken."""
        forget_at = self._clock() + self._settings.remember_ended_seconds
        buried = replace(record, step=record.step + 1, expires_at=forget_at, ended=reason, body=b"")
        (written,) = await self._store.swap([Swap(buried, expected_step=record.step)])
        if written:
            self._metrics.sessions_ended.labels(reason).inc()
        return written

    def _model_of(self, body: SessionBody) -> ServedModel[Any]:
        model = self._models.get(body.model)
        if model is None or model.bundle.tag != body.bundle:
            raise VersionUnknown(f"the session lives on {body.bundle}, which is not served any more")
        return model

    async def _step(self, loaded: _Loaded, request: StepRequest) -> StepAnswer:
        model = self._model_of(loaded.body)
        inputs = model.parse(request.inputs)
        digest = _digest(inputs.model_dump())
        record, body = loaded.record, loaded.body
        if request.step == record.step - 1 and digest == body.last_digest:
            return await self._replay(loaded, model, inputs)
        self._check_order(record, request.step)
        outputs, state = await self._advance(model, body.state, inputs, body.secret, record.step)
        return await self._commit(loaded, replace(body, state=state, last_digest=digest), outputs)

    async def _advance(
        self, model: ServedModel[Any], state: SequenceState, inputs: Form, secret: str, step: int
    ) -> tuple[dict[str, Any], SequenceState]:
        async with deadline(self._timeout_seconds):
            return await model.step(state, inputs, derived_seed(secret, step))

    async def _replay(self, loaded: _Loaded, model: ServedModel[Any], inputs: Form) -> StepAnswer:
        """The answer of the last step once more: as it was kept, or computed again from the state before it."""
        self._metrics.step_replays.inc()
        record, body = loaded.record, loaded.body
        if body.before is None:
            outputs = orjson.loads(body.last_answer)
        else:
            outputs, _ = await self._advance(model, body.before, inputs, body.secret, record.step - 1)
        return StepAnswer(session_id=record.session_id, step=record.step, outputs=outputs)

    def _check_order(self, record: Record, step: int | None) -> None:
        if step is not None and step != record.step:
            self._metrics.step_conflicts.inc()
            raise StepConflict(f"step {step} is not next; step {record.step} is", record.step)

    async def _commit(self, loaded: _Loaded, body: SessionBody, outputs: dict[str, Any]) -> StepAnswer:
        answer = orjson.dumps(outputs)
        before = loaded.record
        if len(answer) <= MAX_KEPT_ANSWER_BYTES:
            kept = replace(body, last_answer=answer, before=None)
        else:
            kept = replace(body, last_answer=b"", before=loaded.body.state)
        record = self._record(before.session_id, before.owner, before.step + 1, kept)
        (written,) = await self._store.swap([Swap(record, expected_step=before.step)])
        if not written:
            self._metrics.step_conflicts.inc()
            current = await self._load(before.owner, before.session_id)
            raise StepConflict("another writer took this step", current.record.step)
        return StepAnswer(session_id=record.session_id, step=record.step, outputs=outputs)

    @asynccontextmanager
    async def _turn(self, session_id: str) -> AsyncIterator[None]:
        """One step in flight per session; a lock lives as long as somebody holds or awaits it."""
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        async with deadline(self._timeout_seconds):
            await lock.acquire()
        try:
            yield
        finally:
            lock.release()


def _decoded(record: Record) -> _Loaded | None:
    """A record with its body, or None, and a line in the log, where that is damaged."""
    try:
        return _Loaded(record, decode(record.body))
    except RecordDamaged as error:
        logger.error("session %s of %s: %s", record.session_id, record.owner, error)
        return None


def _view(loaded: _Loaded) -> SessionView:
    record = loaded.record
    return SessionView(
        session_id=record.session_id,
        model=loaded.body.model,
        bundle=loaded.body.bundle,
        step=record.step,
        expires_at=datetime.fromtimestamp(record.expires_at, UTC).isoformat(timespec="seconds"),
    )


def _digest(inputs: dict[str, Any]) -> str:
    """Digest of decoded inputs: the same for any spelling of the same JSON."""
    return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()
