"""How sessions begin: new, found again by the key that opened them, or in the place of another session."""

import secrets
from collections.abc import Callable
from typing import Any

from service.errors import IdempotencyMismatch, InvalidInput, SessionQuota, StoreFull
from service.forms.sessions import SessionRequest, SessionView
from service.metrics import Metrics
from service.record.body import Body, encode
from service.record.expiry import stored_second
from service.record.ids import keyed_session_id, new_session_id
from service.sessions.graveyard import checkpoint_ids
from service.sessions.housekeeping import EVICTED_AT_ONCE, MAX_EVICTIONS, Housekeeping
from service.sessions.idempotency import Keyed, keyed_creation
from service.sessions.live_session import LiveSession
from service.sessions.sessions import Sessions
from service.settings import SessionSettings
from service.steps.step_rules import MAX_ATTEMPTS, contended
from service.stores.base import Damaged, Full, QuotaReached, Record, Store, Swap
from service.stores.outage import or_unavailable
from service.tasks.models import Models
from service.tasks.task import SequenceModel

ROOM_TO_EVICTED = 100  # a full store begins by evicting one session for every 100 that it may hold
SECRET_BYTES = 16
KEY_NOTE = "idempotency"
NO_ROOM = "there is no room for another session; end some, or try again later"


class Openings:
    """Opens sessions.

    Args:
        store: Keeps their records.
        models: The served models.
        settings: Limits of sessions.
        sessions: The live sessions.
        housekeeping: Makes room when there is none.
        metrics: Counts the sessions that were opened, and those that others have replaced.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        models: Models,
        settings: SessionSettings,
        sessions: Sessions,
        housekeeping: Housekeeping,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._models = models
        self._settings = settings
        self._sessions = sessions
        self._housekeeping = housekeeping
        self._metrics = metrics
        self._clock = clock
        self._secret = b""

    async def create(self, owner: str, request: SessionRequest, idempotency_key: str = "") -> SessionView:
        """Open a session in its model's initial state.

        Raises:
            ModelUnknown: No such model is served.
            NotStreamable: The model needs whole inputs.
            InvalidInput: It asks for a longer time to live than allowed.
            IdempotencyMismatch: The key came with a different request before.
            SessionQuota: The owner has as many sessions as allowed.
            StoreFull: There is no room.
        """
        model = self._models.session_model(request.model)
        body = self.new_body(model)._replace(inputs=b"" if request.keep_inputs else None)
        keyed = keyed_creation(idempotency_key, request)
        loaded = await self.open(owner, model.bundle.tag, 0, body, self.ttl(request.ttl_seconds), keyed)
        return loaded.view()

    async def open(
        self, owner: str, bundle: str, step: int, body: Body, ttl_seconds: int, keyed: Keyed | None
    ) -> LiveSession:
        """Put a new session into the store, or find the one that the same request with the same key has opened.

        Raises:
            IdempotencyMismatch: The key came with a different request before.
            SessionQuota: It would be new, and the owner has as many as allowed.
            StoreFull: It would be new, and there is no room.
        """
        now = self._clock()
        session_id = await self.keyed_id(owner, keyed.key, is_confirmed=True) if keyed else new_session_id(now)
        body = body._replace(request_digest=keyed.digest if keyed else "", idle_seconds=0)
        record = Record(session_id, owner, bundle, step, stored_second(now), ttl_seconds)
        opened = self._new_session(record, body)
        if await self._insert(opened.record):
            return opened
        return await self._existing(owner, session_id, keyed)

    async def reopen(self, owner: str, session_id: str, bundle: str, body: Body) -> Record:
        """Open a session under an id that its owner knows, in place of the session that had the id before.

        The new session's steps count from the milliseconds since 1970, or from beyond those of the former session, so
        that steps in flight to that one do not match. The former session stays until the write that replaces it.

        Raises:
            SessionQuota: The owner has as many sessions as allowed.
            StoreFull: There is no room.
        """
        step, ttl_seconds = 0, self.ttl(None)
        for _ in range(MAX_ATTEMPTS):
            (before,) = await or_unavailable(self._store.load([session_id]))
            now = self._clock()
            step = max(int(now * 1000), before.step + 1 if isinstance(before, Record) else 0)
            if isinstance(before, Damaged):
                await self._sessions.delete_records([session_id])
            fresh = Record(session_id, owner, bundle, step, stored_second(now), ttl_seconds)
            record = self._new_session(fresh, body).record
            if await self._insert(record, before if isinstance(before, Record) else None):
                if isinstance(before, Record):
                    await self._replaced(before, now)
                return record
        raise contended(step)

    async def _replaced(self, before: Record, now: float) -> None:
        """Count the end of the session that another has replaced, unless it was over, and delete its checkpoints."""
        if not before.ended:
            self._metrics.sessions_ended.labels("expired" if before.expires_at <= now else "replaced").inc()
        await self._sessions.delete_records(checkpoint_ids(before))

    async def keyed_id(self, owner: str, key: str, is_confirmed: bool = False) -> str:
        """Return the session id that an owner's key stands for, the same on every worker that shares the store.

        Args:
            owner: Whose key it is.
            key: The key.
            is_confirmed: Whether to ask the store for the secret even if it is known, as for a session to be written.
        """
        if is_confirmed or not self._secret:
            await or_unavailable(self._ask_for_secret())
        return keyed_session_id(self._secret, owner, key)

    async def confirm_secret(self) -> None:
        """Ask the store whether the secret behind keys is still the same. To be called every few seconds.

        Raises:
            Unavailable: The store cannot be used.
        """
        if self._secret:
            await self._ask_for_secret()

    async def _ask_for_secret(self) -> None:
        """Take the store's secret, and give it back should the store have lost its data.

        Workers that have not known it would otherwise agree on another one.
        """
        self._secret = await self._store.note_once(KEY_NOTE, self._secret or secrets.token_bytes(32))

    async def find_keyed(self, owner: str, keyed: Keyed) -> LiveSession | None:
        """Return the session that the same request with the same key has opened, or None if there is none."""
        session_id = await self.keyed_id(owner, keyed.key)
        (record,) = await or_unavailable(self._store.load([session_id]))
        return None if record is None else await self._existing(owner, session_id, keyed)

    def ttl(self, asked_seconds: int | None) -> int:
        """Return how long a session may be idle, in seconds, given what its client asked for.

        Raises:
            InvalidInput: The client asked for more than allowed.
        """
        ttl = asked_seconds or self._settings.session_ttl_seconds
        if ttl > self._settings.max_session_ttl_seconds:
            raise InvalidInput(
                f"a session may be idle for at most {self._settings.max_session_ttl_seconds} seconds", ("ttl_seconds",)
            )
        return ttl

    def new_body(self, model: SequenceModel[Any]) -> Body:
        """Return the body of a session that has read nothing, with a new secret."""
        secret = secrets.token_bytes(SECRET_BYTES)
        return Body(created_at=stored_second(self._clock()), secret=secret, state=model.initial_state())

    def _new_session(self, record: Record, body: Body) -> LiveSession:
        """Return a session with this record and body, used now and ready to be written."""
        loaded = self._sessions.live_session(record, body).used_at(record.used_at)
        return loaded._replace(record=loaded.record._replace(body=encode(loaded.body)))

    async def _existing(self, owner: str, session_id: str, keyed: Keyed | None) -> LiveSession:
        found = await self._sessions.load(owner, session_id)
        if keyed is None or keyed.digest != found.body.request_digest:
            raise IdempotencyMismatch("this Idempotency-Key was already used with a different request")
        return found

    async def _insert(self, record: Record, before: Record | None = None) -> bool:
        """Write a new record, in place of `before` if there is one, making room if necessary.

        At an owner's quota, only that owner's overdue sessions make room.

        Returns:
            False if another record is in its place.
        """
        swap = Swap(record, None) if before is None else Swap(record, before.step, bool(before.ended))
        few = max(1, self._settings.max_sessions // ROOM_TO_EVICTED)
        refusal: SessionQuota | StoreFull = StoreFull(NO_ROOM)
        was_room_made = True
        for attempt in range(MAX_EVICTIONS):
            try:
                is_written = await self._sessions.write(swap)
                if is_written:
                    self._metrics.sessions_opened.inc()
                return is_written
            except QuotaReached as quota:
                quota.with_traceback(None)  # whose frames hold it: a cycle
                refusal = SessionQuota(f"you have {quota.num_live} of {quota.max_sessions} sessions; end some")
                making_room = self._housekeeping.expire_of(record.owner)
            except Full as full:
                full.with_traceback(None)
                refusal = StoreFull(NO_ROOM)
                making_room = self._housekeeping.make_room(min(EVICTED_AT_ONCE, few << attempt))
            num_over = await or_unavailable(making_room)
            if not num_over and not was_room_made:
                break
            was_room_made = num_over > 0  # if not, others may have made it since: one more attempt tells
        raise refusal
