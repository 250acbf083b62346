"""The `/sessions` resource."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api.answer import form_response
from service.api.body import read_form
from service.api.problem import answers_problems
from service.errors import InvalidInput
from service.forms import SessionRequest, StepRequest
from service.sessions import Sessions

OWNER = "anonymous"  # every caller is the same owner: a service without API keys listens on loopback only
MAX_PAGE = 1000


class SessionRoutes:
    """HTTP verbs on sessions, each one call of the core."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route("/sessions", answers_problems(self.create), methods=["POST"]),
            Route("/sessions", answers_problems(self.page), methods=["GET"]),
            Route("/sessions/{session_id}", answers_problems(self.get), methods=["GET"]),
            Route("/sessions/{session_id}", answers_problems(self.end), methods=["DELETE"]),
            Route("/sessions/{session_id}/steps", answers_problems(self.step), methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        """Open a session."""
        view = await self._sessions.create(OWNER, await read_form(request, SessionRequest))
        return form_response(view, status=201, headers={"Location": f"/sessions/{view.session_id}"})

    async def page(self, request: Request) -> Response:
        """List sessions, in pages."""
        limit = request.query_params.get("limit", "100")
        if not re.fullmatch("[0-9]{1,4}", limit) or not 1 <= int(limit) <= MAX_PAGE:
            raise InvalidInput(f"must be a number from 1 to {MAX_PAGE}", ("limit",))
        return form_response(await self._sessions.page(OWNER, request.query_params.get("after", ""), int(limit)))

    async def get(self, request: Request) -> Response:
        """Show a session."""
        return form_response(await self._sessions.get(OWNER, request.path_params["session_id"]))

    async def end(self, request: Request) -> Response:
        """End a session."""
        await self._sessions.end(OWNER, request.path_params["session_id"])
        return Response(status_code=204)

    async def step(self, request: Request) -> Response:
        """Advance a session."""
        form = await read_form(request, StepRequest)
        return form_response(await self._sessions.step(OWNER, request.path_params["session_id"], form))
