"""Sessions that begin with another's state: forks, and imports of sessions exported here or elsewhere."""

import secrets
from collections.abc import Callable

from service.errors import BlobTampered, VersionUnknown
from service.forms.sessions import ForkRequest, SessionView
from service.record.blob import seal, unseal
from service.record.body import NO_DIGEST, BodyUnreadable, decode, encode
from service.record.expiry import stored_second
from service.record.ids import ID_CHARACTERS
from service.record.replay import inherited
from service.sessions.checkpoints import Checkpoints
from service.sessions.idempotency import keyed_fork, keyed_import
from service.sessions.openings import SECRET_BYTES, Openings
from service.sessions.sessions import Sessions
from service.settings import ExportSettings, SessionSettings
from service.steps.step_rules import check_next, not_served
from service.stores.base import Record
from service.stores.packing import pack, unpack
from service.tasks.models import Models


class Transfers:
    """Forks, exports and imports sessions.

    Args:
        sessions: The live sessions.
        checkpoints: Their checkpoints.
        openings: Opens forked and imported sessions.
        models: The served models.
        settings: Limits of sessions.
        export: The key that signs exports, and those that imports may be signed with.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(
        self,
        sessions: Sessions,
        checkpoints: Checkpoints,
        openings: Openings,
        models: Models,
        settings: SessionSettings,
        export: ExportSettings,
        clock: Callable[[], float],
    ) -> None:
        self._sessions = sessions
        self._checkpoints = checkpoints
        self._openings = openings
        self._models = models
        self._settings = settings
        self._key, self._former_keys = export.signing_key, export.former_keys
        self._clock = clock

    async def fork(self, owner: str, session_id: str, request: ForkRequest, idempotency_key: str = "") -> SessionView:
        """Open a session that continues from another's state, with its own secret to seed sampling."""
        keyed = keyed_fork(idempotency_key, session_id, request)
        if keyed and (before := await self._openings.find_keyed(owner, keyed)):
            return before.view()  # whatever has happened to the source session since
        source = await self._sessions.load(owner, session_id)
        body = source.body
        if request.checkpoint is not None:
            source, body = await self._checkpoints.load(source, request.checkpoint)
        record = source.record
        check_next(record, request.step)
        body = body._replace(
            created_at=stored_second(self._clock()),
            secret=secrets.token_bytes(SECRET_BYTES),
            checkpoints=(),
            inputs=inherited(body.inputs, body.secret, self._settings.max_kept_input_bytes),
        )
        if body.before is not None:  # a replay would compute the last answer again, but with another secret
            body = body._replace(digest=NO_DIGEST, before=None)
        inherited_ttl = min(source.idle_seconds, self._settings.max_session_ttl_seconds)
        ttl_seconds = self._openings.ttl(request.ttl_seconds or inherited_ttl)
        forked = await self._openings.open(owner, record.bundle, record.step, body, ttl_seconds, keyed)
        return forked.view()

    async def export(self, owner: str, session_id: str) -> bytes:
        """Return a session as one signed blob, without its checkpoints."""
        loaded = await self._sessions.load(owner, session_id)
        body = loaded.body._replace(checkpoints=(), request_digest="", idle_seconds=0)
        record = loaded.record._replace(owner="", ttl_seconds=loaded.idle_seconds, body=encode(body))
        return seal(self._key, session_id.encode() + pack(record), record.bundle)

    async def import_session(self, owner: str, blob: bytes, idempotency_key: str = "") -> SessionView:
        """Open a session from an exported one, with its state and step number but a new id.

        Raises:
            Malformed, BlobTampered, BlobFormatUnknown: `export` did not make the blob with one of these keys.
            VersionUnknown: Its bundle version is not served here.
        """
        payload = unseal(self._key, blob, self._former_keys)
        exported = unpack(payload[:ID_CHARACTERS].decode(errors="replace"), payload[ID_CHARACTERS:])
        if not isinstance(exported, Record):
            raise BlobTampered(f"the export holds no session: {exported.reason}")
        try:
            self._models.session_model_by_tag(exported.bundle)
        except VersionUnknown as error:
            raise not_served(error, exported) from error
        try:
            body = decode(exported.body)
        except BodyUnreadable as error:
            raise BlobTampered(f"the export holds no session: {error}") from error
        body = body._replace(created_at=stored_second(self._clock()))
        ttl_seconds = min(exported.ttl_seconds, self._settings.max_session_ttl_seconds)
        keyed = keyed_import(idempotency_key, blob)
        opened = await self._openings.open(owner, exported.bundle, exported.step, body, ttl_seconds, keyed)
        return opened.view()
