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
        pending = [await receive()]
        gone, handler = asyncio.ensure_future(receive()), asyncio.current_task()
        is_answering, is_gone = True, False

        async def replay() -> Message:
            return pending.pop() if pending else await asyncio.shield(gone)

        async def watch(message: Message) -> None:
            nonlocal is_answering
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                is_answering = False  # servers tell of a disconnection at the end of an answer, too
            await send(message)

        def stop(_: object) -> None:
            nonlocal is_gone
            if is_answering and handler is not None and not gone.cancelled():
                is_gone = True
                handler.cancel()

        gone.add_done_callback(stop)
        try:
            await self._app(scope, replay, watch)
        except asyncio.CancelledError:
            if handler is None or not is_gone or handler.uncancel():
                raise
        finally:
            is_answering = False
            gone.cancel()
        if is_gone:
            # Nobody reads it, but what is around this layer waits for an answer, and counts it.
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
