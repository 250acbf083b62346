"""Checkpoints: states of a session saved under a name, each in its own record."""

from collections.abc import Callable, Collection

from service.errors import CheckpointUnknown, VersionLeft
from service.record.body import NO_DIGEST, Body, BodyUnreadable, decode, encode
from service.record.checkpoint_ids import checkpoint_entry, checkpoint_id, checkpoint_name
from service.record.expiry import stored_second
from service.sessions.graveyard import listed
from service.sessions.live_session import LiveSession
from service.sessions.sessions import Sessions
from service.steps.step_rules import MAX_ATTEMPTS
from service.stores.base import CHECKPOINT, Swap

UNSETTLED_SECONDS = 600  # within which the step that saves a checkpoint is taken, or never


class Checkpoints:
    """The checkpoints of all sessions.

    Args:
        sessions: The sessions that have them.
        clock: Wall-clock seconds since 1970.
    """

    def __init__(self, sessions: Sessions, clock: Callable[[], float]) -> None:
        self._sessions = sessions
        self._clock = clock

    async def load(self, loaded: LiveSession, name: str) -> tuple[LiveSession, Body]:
        """Load the body that a session had when it was saved.

        Returns:
            The session that lists the checkpoint, loaded again if another save has replaced it, and the body.

        Raises:
            CheckpointUnknown: The session has none of that name, or it is damaged or lost.
            VersionLeft: It was saved on another version than the session's current one.
        """
        record = None
        for _ in range(MAX_ATTEMPTS):
            record = await self._sessions.find_record(checkpoint_id(loaded.record.session_id, saved_as(loaded, name)))
            if record is not None:
                break
            again = await self._sessions.load(loaded.record.owner, loaded.record.session_id)
            if again.record.step == loaded.record.step:
                break
            loaded = again
        if record is None:
            raise CheckpointUnknown(f"checkpoint {name!r} is damaged or lost")
        if record.bundle != loaded.record.bundle:
            raise VersionLeft(
                f"checkpoint {name!r} was saved on {record.bundle}, which the session has left for "
                f"{loaded.record.bundle}: migrate back to {record.bundle} first"
            )
        try:
            return loaded, decode(record.body)
        except BodyUnreadable as error:
            raise CheckpointUnknown(f"checkpoint {name!r} cannot be read: {error}") from error

    async def write(self, loaded: LiveSession, name: str) -> str:
        """Write a session's state to its own record.

        It stays as long as its session lists it: a sweep looks for that after UNSETTLED_SECONDS, and then daily. So one
        whose step is never taken, because its process dies for instance, is deleted. Its id contains the number of the
        step that saves it, so an attempt that loses the step leaves an older checkpoint untouched.

        Returns:
            The checkpoint as the session lists it once the step is taken.
        """
        record = loaded.record
        saved = checkpoint_entry(name, record.step)
        content = loaded.body._replace(digest=NO_DIGEST, answer=b"", before=None, checkpoints=(), idle_seconds=0)
        checkpoint = record._replace(
            session_id=checkpoint_id(record.session_id, saved),
            step=0,
            used_at=stored_second(self._clock()),
            ttl_seconds=UNSETTLED_SECONDS,
            ended=CHECKPOINT,
            body=encode(content),
        )
        # An existing record is another attempt's at this same step, or was left by an older session of the same key. It
        # may be deleted meanwhile.
        for expected_step in (None, 0, None):
            if await self._sessions.write(Swap(checkpoint, expected_step)):
                break
        return saved

    async def delete(self, session_id: str, saved: Collection[str]) -> None:
        """Delete the records of checkpoints, given as their session lists them."""
        await self._sessions.delete_records([checkpoint_id(session_id, each) for each in saved])

    async def delete_lost(self, session_id: str, saved: Collection[str]) -> None:
        """Delete the checkpoints of an attempt that lost its step, except those that the session now lists."""
        if ids := {checkpoint_id(session_id, each) for each in saved}:
            record = await self._sessions.find_record(session_id)
            await self._sessions.delete_records(ids if record is None else ids - listed(record, ids))


def saved_as(loaded: LiveSession, name: str) -> str:
    """Return the checkpoint of this name as its session lists it. Raises CheckpointUnknown."""
    saved = {checkpoint_name(each): each for each in loaded.body.checkpoints}
    if name not in saved:
        raise CheckpointUnknown(f"the session has no checkpoint {name!r}; it has {list(saved)}")
    return saved[name]
