"""Handlers of endpoints, and their routes. Each class of handlers lists them in its `handlers`."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from service.api.endpoint import Endpoint
from service.api.endpoints import STREAM
from service.api.problem import problem_response
from service.api.refusal_forms import refusal_response
from service.api.refusals import answer_or_refusal
from service.errors import UpgradeNeeded

Handler = Callable[[Request], Awaitable[Response]]
Handlers = Mapping[Endpoint, Handler]
# Takes scope, receive, send and the path's ids. Returns the status that it sent, or raises a refusal.
HotHandler = Callable[..., Awaitable[int]]
HotHandlers = Mapping[Endpoint, HotHandler]
Answer = TypeVar("Answer")


class Unbound(Exception):
    """An endpoint is declared without a handler, has a handler without being declared, or has two handlers."""


def joined(*parts: Mapping[Endpoint, Answer]) -> dict[Endpoint, Answer]:
    """Merge handlers.

    Raises:
        Unbound: Two of them answer the same endpoint.
    """
    bound: dict[Endpoint, Answer] = {}
    for part in parts:
        if twice := bound.keys() & part.keys():
            raise Unbound(f"answered twice: {listed(twice)}")
        bound.update(part)
    return bound


def listed(some: Iterable[Endpoint]) -> str:
    """Format endpoints for an error message."""
    return ", ".join(sorted(f"{endpoint.method} {endpoint.path}" for endpoint in some))


def methods_by_path(some: Iterable[Endpoint]) -> dict[str, tuple[str, ...]]:
    """Return the methods of each path."""
    methods: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for endpoint in some:
        methods[endpoint.path] += endpoint.methods
    return dict(methods)


def routes_of(handlers: Handlers) -> list[Route]:
    """Return one route for each path, so that the 405 to another method lists all methods of the path."""
    by_path: dict[str, dict[str, Handler]] = {}
    for endpoint, handler in handlers.items():
        by_path.setdefault(endpoint.path, {})[endpoint.method] = _refusing(handler)
    return [Route(path, _by_method(own), methods=list(own)) for path, own in by_path.items()]


def routed(routes: Sequence[BaseRoute]) -> ASGIApp:
    """Return an application of these routes, which match exact paths only."""
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app


def other_methods(hot: Collection[Endpoint], others: Collection[Endpoint]) -> list[Route]:
    """Return 405 and 426 routes for the hot paths. Must be registered last."""
    upgrade = problem_response(UpgradeNeeded("a stream is a WebSocket connection: ws://, or wss:// with TLS"))
    allowed = methods_by_path([*hot, *others])
    refusals = (
        Route(path, Response(status_code=405, headers={"Allow": ", ".join(allowed[path])}))
        for path in methods_by_path(hot)
    )
    return [*refusals, Route(STREAM.path, upgrade)]


def _refusing(handler: Handler) -> Handler:
    """Wrap a handler so that it answers refusals in the form of their path."""

    async def answer(request: Request) -> Response:
        return await answer_or_refusal(
            handler(request), handler.__name__, partial(refusal_response, request.scope["path"])
        )

    return answer


def _by_method(handlers: Mapping[str, Handler]) -> Handler:
    async def answer(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return answer
