"""Work for a client that has gone is cancelled: nothing is committed, and the rows go to those who still wait."""

import asyncio

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLIENT_CLOSED_REQUEST = 499  # nginx's number for it


class DisconnectMiddleware:
    """Cancels a request's handler when its client disconnects. Expects the body as one message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body = await receive()
        gone = asyncio.ensure_future(receive())
        pending = [body]

        async def replay() -> Message:
            return pending.pop() if pending else await asyncio.shield(gone)

        handler = asyncio.ensure_future(self._app(scope, replay, send))
        try:
            await asyncio.wait([handler, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_answered = handler.done()
            for task in (handler, gone):
                task.cancel()
            await asyncio.gather(handler, gone, return_exceptions=True)
        if is_answered:
            handler.result()
        else:
            # Nobody reads it, but what is around this layer waits for an answer, and counts it.
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
