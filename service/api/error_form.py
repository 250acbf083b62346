"""Refusals in the Open Inference Protocol's form, `{"error": "..."}`, on that protocol's paths."""

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem import PROBLEM_JSON
from service.api.wire import JSON, respond

ROOT = "/v2"
REPOSITORY = "/v2/repository"  # answers problems, as it always did


def is_open_inference(path: str) -> bool:
    """Whether refusals on a path have the protocol's form."""
    return path.startswith(ROOT) and path[len(ROOT) :][:1] in ("", "/") and not path.startswith(REPOSITORY)


class ErrorFormMiddleware:
    """Rewrites problems on the protocol's paths, whoever has answered them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_open_inference(scope["path"]):
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def rewrite(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_problem(message):
                held.append(message)
            elif not held:
                await send(message)
            else:
                held.append(message)
                if not message.get("more_body", False):
                    problem = orjson.loads(b"".join(part.get("body", b"") for part in held[1:]))
                    kept = [field for field in held[0]["headers"] if not field[0].lower().startswith(b"content-")]
                    await respond(send, orjson.dumps({"error": problem["detail"]}), JSON, held[0]["status"], kept)

        await self._app(scope, receive, rewrite)


def _is_problem(message: Message) -> bool:
    """Whether a response begins that is a problem."""
    kinds = (value for name, value in message["headers"] if name.lower() == b"content-type")
    return next(kinds, b"").startswith(PROBLEM_JSON.encode())
