"""Sessions that branch, return, move and travel: forks, checkpoints, rollbacks, migrations, exports.

Each is a compare-and-swap on the session's record or the creation of a new one, so it may race with steps and loses
nothing: the loser looks again, or is told of the conflict where it named a step.
"""

import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import orjson

from service.bundle.stage import ITEM_STAGE
from service.deadline import deadline
from service.engine.state import SequenceState
from service.errors import (
    BlobTampered,
    ModelUnknown,
    NotMigratable,
    ServiceError,
    TooManyCheckpoints,
)
from service.forms.sessions import ForkRequest, MigrateRequest, RollbackRequest, SessionView
from service.record.blob import seal, unseal
from service.record.body import NO_DIGEST, Body, BodyUnreadable, decode, encode
from service.record.checkpoint_ids import checkpoint_name
from service.record.digest import inputs_digest
from service.record.ids import ID_CHARACTERS
from service.record.replay import inherited, kept_steps
from service.sampling import derived_seed
from service.sessions.checkpoints import Checkpoints, saved_as
from service.sessions.idempotency import keyed_fork, keyed_import
from service.sessions.loaded import Loaded, model_name
from service.sessions.openings import SECRET_BYTES, Openings
from service.sessions.sessions import Sessions
from service.settings import SessionSettings
from service.steps.step_rules import MAX_ATTEMPTS, check_next, contended, is_repeated
from service.steps.turn import Answer
from service.stores.base import Record, Swap
from service.stores.packing import pack, unpack
from service.tasks.task import ServedModel


class Travel:
    """Everything that takes a session's state somewhere else than to its next step.

    Args:
        sessions: Those that live.
        openings: Opens those that are forked and imported.
        models: Current ones by name.
        on: The model of a bundle's tag.
        numerics: What stands for what computes here: `Catalog.numerics`.
        settings: Limits.
        export_key: Signs exports; empty where they are not allowed.
        clock: Wall-clock seconds since 1970.
        timeout_seconds: How long reading a session's inputs again may take, however often another writer is first.
    """

    def __init__(
        self,
        sessions: Sessions,
        openings: Openings,
        models: Mapping[str, ServedModel[Any]],
        on: Callable[[str], ServedModel[Any]],
        numerics: bytes,
        settings: SessionSettings,
        export_key: bytes,
        clock: Callable[[], float],
        timeout_seconds: float,
    ) -> None:
        self._sessions = sessions
        self._openings = openings
        self._models = models
        self._on = on
        self._numerics = numerics
        self._checkpoints = Checkpoints(sessions, settings.max_session_lifetime_seconds, clock)
        self._settings = settings
        self._export_key = export_key
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    async def fork(self, owner: str, session_id: str, request: ForkRequest, idempotency_key: str = "") -> SessionView:
        """Open a session that goes on from another's state; what is left to chance differs from then on."""
        keyed = keyed_fork(idempotency_key, session_id, request)
        if keyed and (before := await self._openings.opened(owner, keyed)):
            return before.view()  # whatever has become of the other session since
        source = await self._sessions.load(owner, session_id)
        body = source.body
        if request.checkpoint is not None:
            source, body = await self._checkpoints.load(source, request.checkpoint)
        record = source.record
        check_next(record, request.step)
        body = body._replace(
            created_at=int(self._clock()),
            secret=secrets.token_bytes(SECRET_BYTES),
            checkpoints=(),
            inputs=inherited(body.inputs, body.secret, self._settings.max_kept_input_bytes),
        )
        if body.before is not None:  # an answer that is not kept would be computed again with the other secret
            body = body._replace(digest=NO_DIGEST, before=None)
        inherited_ttl = min(record.ttl_seconds, self._settings.max_session_ttl_seconds)
        ttl_seconds = self._openings.ttl(request.ttl_seconds or inherited_ttl)
        forked = await self._openings.open(owner, record.bundle, record.step, body, ttl_seconds, keyed)
        return forked.view()

    async def save(self, owner: str, session_id: str, name: str, step: int | None = None) -> Answer:
        """Save a session's state as a named checkpoint, in place of an older one of that name, as its next step."""

        async def after(loaded: Loaded) -> Loaded:
            saved = {checkpoint_name(each): each for each in loaded.body.checkpoints}
            if name not in saved and len(saved) >= self._settings.max_checkpoints:
                raise TooManyCheckpoints(f"a session may have at most {self._settings.max_checkpoints} checkpoints")
            saved[name] = await self._checkpoints.write(loaded, name)
            return loaded._replace(body=loaded.body._replace(checkpoints=tuple(saved.values())))

        return await self._take(owner, session_id, step, {"save": name}, after)

    async def forget(self, owner: str, session_id: str, name: str, step: int | None = None) -> Answer:
        """Forget a checkpoint, as the session's next step."""

        async def after(loaded: Loaded) -> Loaded:
            forgotten = saved_as(loaded, name)
            others = tuple(each for each in loaded.body.checkpoints if each != forgotten)
            return loaded._replace(body=loaded.body._replace(checkpoints=others))

        return await self._take(owner, session_id, step, {"forget": name}, after)

    async def roll_back(self, owner: str, session_id: str, request: RollbackRequest) -> Answer:
        """Return to a checkpoint, as the session's next step."""

        async def after(loaded: Loaded) -> Loaded:
            _, saved = await self._checkpoints.load(loaded, request.checkpoint)
            body = loaded.body._replace(state=saved.state, numerics=saved.numerics, inputs=saved.inputs)
            return loaded._replace(body=body)

        return await self._take(owner, session_id, request.step, {"rollback": request.checkpoint}, after)

    async def migrate(self, owner: str, session_id: str, request: MigrateRequest) -> Answer:
        """Move a session to another version of its bundle by reading all its inputs again, as its next step.

        Raises:
            NotMigratable: Its inputs were not kept, or outgrew the limit, or the version cannot read them.
            DeadlineExceeded: Reading them took too long, in all attempts together.
        """
        started = time.perf_counter()

        async def after(loaded: Loaded) -> Loaded:
            model = self._target(loaded.record, request.bundle)
            async with deadline(self._timeout_seconds, since=started):
                state = await self._replayed(model, loaded.body)
            body = loaded.body._replace(state=state, numerics=self._numerics)
            return Loaded(loaded.record._replace(bundle=model.bundle.tag), body)

        return await self._take(owner, session_id, request.step, {"migrate": request.bundle}, after)

    async def export(self, owner: str, session_id: str) -> bytes:
        """A session as one signed blob, without its checkpoints."""
        loaded = await self._sessions.load(owner, session_id)
        body = loaded.body._replace(checkpoints=(), request_digest="")
        record = loaded.record._replace(owner="", body=encode(body))
        return seal(self._export_key, session_id.encode() + pack(record), record.bundle)

    async def take_in(self, owner: str, blob: bytes, idempotency_key: str = "") -> SessionView:
        """Open a session from an exported one: its state and its next step, under an id of its own.

        Raises:
            Malformed, BlobTampered, BlobFormatUnknown: It is not what `export` gave under the same key.
            VersionUnknown: Its bundle version is not served here.
        """
        sealed = unseal(self._export_key, blob)
        exported = unpack(sealed.payload[:ID_CHARACTERS].decode(errors="replace"), sealed.payload[ID_CHARACTERS:])
        if not isinstance(exported, Record):
            raise BlobTampered(f"the export holds no session: {exported.reason}")
        self._on(exported.bundle)
        try:
            body = decode(exported.body)
        except BodyUnreadable as error:
            raise BlobTampered(f"the export holds no session: {error}") from error
        body = body._replace(created_at=int(self._clock()))
        ttl_seconds = min(exported.ttl_seconds, self._settings.max_session_ttl_seconds)
        keyed = keyed_import(idempotency_key, blob)
        opened = await self._openings.open(owner, exported.bundle, exported.step, body, ttl_seconds, keyed)
        return opened.view()

    async def _take(
        self,
        owner: str,
        session_id: str,
        step: int | None,
        request: dict[str, Any],
        after: Callable[[Loaded], Awaitable[Loaded]],
    ) -> Answer:
        """Take a step that reads no input, exactly once where it is named; its answer is the request.

        Args:
            after: The session after the step, given that before; called again where another writer was first.
        """
        digest, answer = inputs_digest(request), orjson.dumps(request)
        lost: Collection[str] = ()
        for _ in range(MAX_ATTEMPTS):
            loaded = await self._sessions.load(owner, session_id)
            await self._checkpoints.delete_lost(loaded, lost)
            record, body = loaded
            if is_repeated(record, body, step, digest):
                return Answer(session_id, record.step, body.answer)
            check_next(record, step)
            following = await after(loaded)
            content = encode(following.body._replace(digest=digest, answer=answer, before=None))
            taken = following.record._replace(step=record.step + 1, used_at=int(self._clock()), body=content)
            before, now = set(body.checkpoints), set(following.body.checkpoints)
            if await self._sessions.write(Swap(taken, record.step)):
                await self._checkpoints.delete(session_id, before - now)
                return Answer(session_id, taken.step, answer)
            lost = now - before
        loaded = await self._sessions.load(owner, session_id)
        await self._checkpoints.delete_lost(loaded, lost)
        raise contended(loaded.record.step)

    def _target(self, record: Record, tag: str | None) -> ServedModel[Any]:
        name = model_name(record.bundle)
        if tag is None:
            if name not in self._models:
                raise ModelUnknown(f"no model {name!r} is served now")
            return self._models[name]
        if model_name(tag) != name:
            raise NotMigratable(f"the session lives on {record.bundle}; {tag} is no version of that")
        return self._on(tag)

    async def _replayed(self, model: ServedModel[Any], body: Body) -> SequenceState:
        if body.inputs is None:
            raise NotMigratable("the session keeps no inputs to read again (`keep_inputs`), or they outgrew the limit")
        state = model.initial_state()
        try:
            for kept in kept_steps(body.inputs):
                state = await _taken(
                    model, state, kept.inputs, derived_seed(kept.secret or body.secret.hex(), kept.step)
                )
        except ServiceError as error:
            if error.retry_after_seconds is not None:  # the queue is full, for instance, which is not the inputs' fault
                raise
            raise NotMigratable(f"{model.bundle.tag} cannot read the session's inputs: {error}") from error
        return state


async def _taken(model: ServedModel[Any], state: SequenceState, inputs: dict[str, Any], seed: int) -> SequenceState:
    """The state after one step that was kept."""
    if not model.takes_tensors(inputs):
        _, following = await model.step(state, model.parse(inputs), seed)
        return following
    items = model.items(state, model.read_tensors(inputs))
    advance = await model.engine.advance(ITEM_STAGE, items.state.row, {"x": items.values}, len(items.values))
    return items.state.advanced(advance.row, items.values.size)
