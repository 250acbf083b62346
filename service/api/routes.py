"""What answers at endpoints, and the routes of it.

Each class that answers some tells which with its `handlers`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api.endpoints import STREAM, Endpoint
from service.api.problem import answers_problems, problem_response
from service.errors import UpgradeNeeded

Handler = Callable[[Request], Awaitable[Response]]
Handlers = Mapping[Endpoint, Handler]
# Of scope, receive, send and the path's ids: the status that was sent, or a refusal is raised.
HotHandler = Callable[..., Awaitable[int]]
HotHandlers = Mapping[Endpoint, HotHandler]


def routes_of(handlers: Handlers) -> list[Route]:
    """One route for all methods of a path, so that who asks by another one is told of all."""
    by_path: dict[str, dict[str, Handler]] = {}
    for endpoint, handler in handlers.items():
        by_path.setdefault(endpoint.path, {})[endpoint.method] = answers_problems(handler)
    return [Route(path, _by_method(own), methods=list(own)) for path, own in by_path.items()]


def other_methods(hot: Iterable[Endpoint]) -> list[Route]:
    """Routes of the hot paths, for who asks them in another way than they are answered."""
    upgrade = problem_response(UpgradeNeeded("a stream is a WebSocket connection: ws://, or wss:// with TLS"))
    upgrade.headers.update({"Upgrade": "websocket", "Connection": "Upgrade"})
    refusals = (Route(one.path, Response(status_code=405, headers={"Allow": one.method})) for one in hot)
    return [*refusals, Route(STREAM.path, upgrade)]


def _by_method(handlers: Mapping[str, Handler]) -> Handler:
    async def answer(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return answer
