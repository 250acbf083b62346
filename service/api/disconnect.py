"""Work for a client that has gone is cancelled: nothing is committed, and the rows go to those who still wait."""

import asyncio

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.client_watch import ClientGone, ClientWatch

CLIENT_CLOSED_REQUEST = 499  # nginx's number for it


class DisconnectMiddleware:
    """Cancels a request's handler when its client disconnects. Expects the body as one message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        pending = [await receive()]
        try:
            with ClientWatch(receive) as client:

                async def replay() -> Message:
                    return pending.pop() if pending else await asyncio.shield(client.gone)

                async def watch(message: Message) -> None:
                    if message["type"] == "http.response.body" and not message.get("more_body", False):
                        client.end()
                    await send(message)

                await self._app(scope, replay, watch)
        except ClientGone:
            # Nobody reads it, but what is around this layer waits for an answer, and counts it.
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
