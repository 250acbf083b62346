"""The `/sessions` resource, except for steps."""

import re

from starlette.requests import Request
from starlette.responses import Response

from service.api import endpoints
from service.api.answer import form_response
from service.api.auth import owner_of
from service.api.body import read_form
from service.api.endpoints import MAX_PAGE
from service.api.media_types import BLOB, JSON, OCTETS
from service.api.routes import Handlers
from service.errors import InvalidInput, Malformed
from service.forms.form import Form
from service.forms.sessions import (
    CheckpointRequest,
    ForkRequest,
    MigrateRequest,
    RollbackRequest,
    SessionRequest,
    SessionView,
)
from service.record.ids import bytes_of
from service.sessions.openings import Openings
from service.sessions.sessions import Sessions
from service.sessions.transfers import Transfers
from service.sessions.transitions import Transitions
from service.steps.turn import Answer
from service.tasks.task import validated

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class SessionRoutes:
    """HTTP handlers of sessions, each a single call of the core."""

    def __init__(self, sessions: Sessions, openings: Openings, transitions: Transitions, transfers: Transfers) -> None:
        self._sessions = sessions
        self._openings = openings
        self._transitions = transitions
        self._transfers = transfers

    def handlers(self) -> Handlers:
        """The handler of each endpoint."""
        return {
            endpoints.OPEN_SESSION: self.open_session,
            endpoints.LIST_SESSIONS: self.list_sessions,
            endpoints.IMPORT_SESSION: self.import_session,
            endpoints.SHOW_SESSION: self.show_session,
            endpoints.END_SESSION: self.end_session,
            endpoints.FORK_SESSION: self.fork_session,
            endpoints.ROLL_BACK: self.roll_back,
            endpoints.MIGRATE_SESSION: self.migrate_session,
            endpoints.EXPORT_SESSION: self.export_session,
            endpoints.SAVE_CHECKPOINT: self.save_checkpoint,
            endpoints.FORGET_CHECKPOINT: self.forget_checkpoint,
        }

    async def open_session(self, request: Request) -> Response:
        """Open a session."""
        form = await read_form(request, SessionRequest)
        return _opened(await self._openings.create(owner_of(request.scope), form, _idempotency_key(request)))

    async def list_sessions(self, request: Request) -> Response:
        """List sessions, in pages."""
        limit = request.query_params.get("limit", "100")
        if not re.fullmatch("[0-9]{1,4}", limit) or not 1 <= int(limit) <= MAX_PAGE:
            raise InvalidInput(f"must be a number from 1 to {MAX_PAGE}", ("limit",))
        after = request.query_params.get("after", "")
        if after and bytes_of(after) is None:
            raise InvalidInput("must be `next` of a page", ("after",))
        return form_response(await self._sessions.page(owner_of(request.scope), after, int(limit)))

    async def show_session(self, request: Request) -> Response:
        """Show a session."""
        return form_response(await self._sessions.get(*_session(request)))

    async def end_session(self, request: Request) -> Response:
        """End a session."""
        await self._sessions.end(*_session(request))
        return Response(status_code=204)

    async def fork_session(self, request: Request) -> Response:
        """Open a session that goes on from this one's state."""
        form = await read_form(request, ForkRequest)
        return _opened(await self._transfers.fork(*_session(request), form, _idempotency_key(request)))

    async def save_checkpoint(self, request: Request) -> Response:
        """Save the state as a named checkpoint."""
        form = await _checkpoint(request)
        return _answered(await self._transitions.save(*_session(request), form.name, form.step))

    async def forget_checkpoint(self, request: Request) -> Response:
        """Forget a checkpoint."""
        form = await _checkpoint(request)
        return _answered(await self._transitions.forget(*_session(request), form.name, form.step))

    async def roll_back(self, request: Request) -> Response:
        """Return to a checkpoint."""
        form = await read_form(request, RollbackRequest)
        return _answered(await self._transitions.roll_back(*_session(request), form))

    async def migrate_session(self, request: Request) -> Response:
        """Move to another version of the bundle."""
        form = await read_form(request, MigrateRequest)
        return _answered(await self._transitions.migrate(*_session(request), form))

    async def export_session(self, request: Request) -> Response:
        """Return the session as one signed blob."""
        return Response(await self._transfers.export(*_session(request)), media_type=_blob_type(request))

    async def import_session(self, request: Request) -> Response:
        """Open a session from an exported one."""
        blob = await request.body()
        return _opened(await self._transfers.import_session(owner_of(request.scope), blob, _idempotency_key(request)))


def _session(request: Request) -> tuple[str, str]:
    return owner_of(request.scope), request.path_params["session_id"]


def _blob_type(request: Request) -> str:
    """Return the media type of an exported session: its own, unless a client accepts only OCTETS."""
    named = {kind.partition(";")[0].strip().lower() for kind in ",".join(request.headers.getlist("accept")).split(",")}
    return OCTETS if OCTETS in named and BLOB not in named else BLOB


async def _checkpoint(request: Request) -> CheckpointRequest:
    try:
        await read_form(request, Form)
    except (Malformed, InvalidInput):
        raise InvalidInput("this path takes no body: put the step number into the query, ?step=4") from None
    step = request.query_params.get("step")
    if step is not None and not re.fullmatch("[0-9]{1,19}", step):
        raise InvalidInput("must be a whole number from 0 to 2^63 - 1", ("step",))
    return validated(
        CheckpointRequest, {"name": request.path_params["name"], "step": None if step is None else int(step)}
    )


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key")
    if key is None:
        return ""
    if not _KEY.fullmatch(key):
        raise InvalidInput("must be 1 to 255 visible ASCII characters", ("Idempotency-Key",))
    return key


def _opened(view: SessionView) -> Response:
    return form_response(
        view, status=201, headers={"Location": endpoints.SHOW_SESSION.path.format(session_id=view.session_id)}
    )


def _answered(answer: Answer) -> Response:
    return Response(answer.json(), media_type=JSON)
