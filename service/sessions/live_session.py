"""A live session as loaded from the store, or about to be written to it."""

from datetime import UTC, datetime
from typing import NamedTuple

from service.bundle.manifest import name_and_version
from service.forms.sessions import SessionView
from service.record.body import Body
from service.record.checkpoint_ids import checkpoint_name
from service.record.expiry import idle_seconds_of, kept_idle_seconds, ttl_seconds_at
from service.stores.base import Record


class LiveSession(NamedTuple):
    """A record and its decoded body.

    Attributes:
        record: The record as stored.
        body: Its content.
        ends_at: When the session reaches the maximum lifetime, in wall-clock seconds since 1970.
    """

    record: Record
    body: Body
    ends_at: int

    @property
    def idle_seconds(self) -> int:
        """How long the session may be idle."""
        return idle_seconds_of(self.record, self.body)

    @property
    def expires_at(self) -> int:
        """When the session expires unless it is used.

        Its record may expire later if the maximum lifetime has been lowered since it was written.
        """
        return min(self.record.expires_at, self.ends_at)

    def used_at(self, now: int) -> "LiveSession":
        """Return the same session, last used at `now`, in wall-clock seconds since 1970."""
        record, body, ends_at = self
        ttl_seconds = ttl_seconds_at(now, self.idle_seconds, ends_at)
        kept = kept_idle_seconds(record, body, ends_at, now)
        return self._replace(
            record=record._replace(used_at=now, ttl_seconds=ttl_seconds), body=body._replace(idle_seconds=kept)
        )

    def view(self) -> SessionView:
        """Return the session as its owner sees it."""
        record = self.record
        return SessionView(
            session_id=record.session_id,
            model=model_name(record.bundle),
            bundle=record.bundle,
            step=record.step,
            expires_at=datetime.fromtimestamp(self.expires_at, UTC).isoformat(timespec="seconds"),
            ttl_seconds=self.idle_seconds,
            keep_inputs=self.body.inputs is not None,
            checkpoints=[checkpoint_name(saved) for saved in self.body.checkpoints],
        )


def model_name(tag: str) -> str:
    """Return the name of the model in a bundle's tag."""
    return name_and_version(tag)[0]
