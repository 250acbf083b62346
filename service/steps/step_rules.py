"""Which step a session's record allows, and the record after it. Pure, except for logging.

record ─► live, its owner's? ─► readable? ─► next, or repeated? ─► same numerics? ─► (computed) ─► record
"""

import logging
from collections.abc import Callable
from typing import Any

from service.errors import NumericsChanged, SessionDamaged, SessionGone, StepConflict, VersionUnknown
from service.record.admission import Expired, admitted, check_lifetime
from service.record.body import NUMERICS_UNKNOWN, Body, BodyUnreadable, decode, is_current_version, with_creation_time
from service.record.expiry import kept_idle_seconds, stored_second, ttl_seconds_at
from service.record.replay import appended
from service.settings import SessionSettings
from service.steps.session_cache import CachedSession
from service.steps.turn import Answer, Turn
from service.stores.base import Damaged, Record
from service.tasks.models import Models
from service.tasks.task import tensor_model

logger = logging.getLogger(__name__)

MAX_KEPT_ANSWER_BYTES = 64 * 1024
MAX_ATTEMPTS = 16  # that a turn makes at a step while other writers keep winning


class StepRules:
    """The rules for the steps of all sessions.

    Args:
        models: The served models.
        settings: Limits.
        bury_expired: Called with a record that has expired.
    """

    def __init__(self, models: Models, settings: SessionSettings, bury_expired: Callable[[Record], None]) -> None:
        self._models = models
        self._settings = settings
        self._max_lifetime_seconds = settings.max_session_lifetime_seconds
        self._bury_expired = bury_expired

    def load(self, turn: Turn, record: Record | Damaged | None, now: float) -> None:
        """Set a turn's record, body and model from the store's record.

        Args:
            turn: The turn.
            record: The store's record; None if it has none.
            now: Wall-clock seconds since 1970, here and below.

        Raises:
            SessionUnknown: The session never existed for this owner.
            SessionGone: It is over, or its id now belongs to another session.
            SessionDamaged: Its record cannot be read.
            VersionUnknown: Its bundle version is not served.
        """
        try:
            live = admitted(record, turn.ask.session_id, turn.ask.owner, now)
            self._use(turn, live, readable(live, now), now)
        except Expired as expired:
            self._bury_expired(expired.record)
            raise

    def as_cached(self, record: Record | Damaged | None) -> CachedSession | None:
        """Return a session as the cache holds it from its record, or None if its turn must be taken alone."""
        if not isinstance(record, Record) or record.ended or not is_current_version(record.body):
            return None
        try:
            body = decode(record.body)
        except Exception as error:  # the turn is refused when it is taken alone
            if not isinstance(error, BodyUnreadable):
                logger.exception("the record of session %s could not be examined", record.session_id)
            return None
        if body.numerics != self._models.numerics:
            return None
        return CachedSession(record, body, self.end_of(body))

    def load_cached(self, turn: Turn, record: Record, body: Body, now: float) -> None:
        """Set a turn's record, body and model from a cached session; see `load`."""
        self._use(turn, admitted(record, turn.ask.session_id, turn.ask.owner, now), body, now)

    def _use(self, turn: Turn, record: Record, body: Body, now: float) -> None:
        check_lifetime(record, body, self._max_lifetime_seconds, now)
        if turn.ask.secret not in (None, body.secret):
            raise SessionGone(f"session {record.session_id!r} is over: begun anew", "begun anew")
        turn.record, turn.body = record, body
        try:
            turn.model = self._models.session_model_by_tag(record.bundle)
        except VersionUnknown as error:
            raise not_served(error, record, _by_migrating(record, body)) from error

    def end_of(self, body: Body) -> int:
        """Return when a session reaches the maximum lifetime, in wall-clock seconds since 1970."""
        return body.ends_at(self._max_lifetime_seconds)

    def settle(self, turn: Turn, digest: bytes) -> Answer | None:
        """Set the step that a turn computes and the state that it starts from.

        Args:
            turn: A turn whose session is loaded.
            digest: Digest of the decoded inputs, 16 bytes.

        Returns:
            The answer, if the step is a repetition whose answer is kept; otherwise None.

        Raises:
            StepConflict: The requested step is neither the next one nor a repetition of the last.
            NumericsChanged: The session's state was computed under other numerics, and neither the client nor the
                settings allow it to continue.
        """
        record, body = turn.record, turn.body
        turn.digest = digest
        turn.step, turn.state = record.step, body.state
        if is_repeated(record, body, turn.ask.step, digest):
            if body.before is None:
                return Answer(record.session_id, record.step, body.answer)
            turn.step, turn.state = record.step - 1, body.before
        else:
            check_next(record, turn.ask.step)
        self._check_numerics(turn)
        return None

    def next_body(self, turn: Turn, now: int) -> Body:
        """Return the body after the step that a turn has computed."""
        body = turn.body
        is_kept = 0 < len(turn.outputs) <= MAX_KEPT_ANSWER_BYTES
        inputs = body.inputs
        if inputs is not None and (advancing := _advancing(turn)):
            inputs = appended(inputs, turn.step, advancing, self._settings.max_kept_input_bytes)
        return Body(
            created_at=body.created_at,
            secret=body.secret,
            state=turn.state,
            numerics=self._models.numerics,
            digest=turn.digest,
            answer=turn.outputs if is_kept else b"",
            before=None if is_kept else body.state,
            inputs=inputs,
            checkpoints=body.checkpoints,
            request_digest=body.request_digest,
            idle_seconds=kept_idle_seconds(turn.record, body, self.end_of(body), now),
        )

    def next_record(self, turn: Turn, body: Body, content: bytes, now: int) -> Record:
        """Return the record after that step; `content` is its body as bytes."""
        record, ttl_seconds = turn.record, turn.record.ttl_seconds
        if body.idle_seconds:
            ttl_seconds = ttl_seconds_at(now, body.idle_seconds, self.end_of(body))
        return Record(record.session_id, record.owner, record.bundle, turn.step + 1, now, ttl_seconds, "", content)

    def is_changed(self, turn: Turn) -> bool:
        """Whether the session's state was computed under other numerics."""
        return turn.body.numerics not in (self._models.numerics, NUMERICS_UNKNOWN)

    def _check_numerics(self, turn: Turn) -> None:
        if not self.is_changed(turn) or turn.ask.allow_numerics_change or self._settings.allow_numerics_change:
            return
        raise NumericsChanged(
            "the session's state was computed by another onnxruntime, provider or processor, and would not go on with "
            'the same bits; send "allow_numerics_change": true to continue anyway',
            turn.body.numerics.hex(),
            self._models.numerics.hex(),
        )


def is_repeated(record: Record, body: Body, step: int | None, digest: bytes) -> bool:
    """Whether a step repeats the last one that its session took."""
    return step == record.step - 1 and digest == body.digest


def check_next(record: Record, step: int | None) -> None:
    """Raise StepConflict if a step number is given and is not the session's next one."""
    if step is None or step == record.step:
        return
    if step > record.step:
        mistake = f"step {step} is ahead"
    elif step == record.step - 1:
        mistake = f"step {step} was already taken by a different request"
    else:
        mistake = f"step {step} was already taken, and only the last step's answer is kept, that of {record.step - 1}"
    raise StepConflict(f"{mistake}; step {record.step} is next", record.step)


def contended(step: int) -> StepConflict:
    """Return the refusal of a step that was lost to other writers too often. `step` is the session's next one."""
    return StepConflict("other writers keep taking this session's steps", step)


def readable(record: Record, now: float) -> Body:
    """Decode a record's body.

    Raises:
        SessionDamaged: The body cannot be read. This is also logged.
    """
    try:
        return with_creation_time(decode(record.body), stored_second(now))
    except BodyUnreadable as error:
        logger.error("the record of session %s of owner %s is damaged: %s", record.session_id, record.owner, error)
        raise SessionDamaged(
            f"the record of session {record.session_id!r} cannot be read; the session cannot continue"
        ) from error


def not_served(error: VersionUnknown, record: Record, otherwise: str = "") -> VersionUnknown:
    """Return the refusal of a session whose bundle version is not served; it tells how the session can go on."""
    back = (
        f"The session is on it and lost nothing: step {record.step} is next once the operator has put it back into the "
        "model store"
    )
    return VersionUnknown(f"{error}. {back}{otherwise}", record.step)


def _by_migrating(record: Record, body: Body) -> str:
    if body.inputs is None:
        return "; it cannot migrate, since its inputs are not kept"
    return f", or after POST /sessions/{record.session_id}/migrate, since its inputs are kept"


def _advancing(turn: Turn) -> dict[str, Any]:
    """Return those of the client's inputs that advance the session, in JSON form."""
    ask = turn.ask
    if ask.values is not None:
        return {tensor_model(turn.model).tensors_name: ask.values.tolist()}
    return turn.model.advancing(ask.inputs or {})
