"""A live session as it was loaded from the store."""

from datetime import UTC, datetime
from typing import NamedTuple

from service.bundle.manifest import name_and_version
from service.forms.sessions import SessionView
from service.record.body import Body
from service.record.checkpoint_ids import checkpoint_name
from service.stores.base import Record


class Loaded(NamedTuple):
    """A record, and its body decoded."""

    record: Record
    body: Body

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


def model_name(tag: str) -> str:
    """The name of the model whose bundle has that tag."""
    return name_and_version(tag)[0]
