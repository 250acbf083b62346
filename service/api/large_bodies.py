"""Bodies that take long to parse: what they may hold, and how those of many clients take turns.

Nothing else runs while a body is parsed. What it takes goes by its lists, objects, texts and names rather than by its
bytes: a text of eight megabytes takes a few milliseconds, as many empty lists take seconds.
"""

import asyncio
import time
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.endpoints import IMPORT_SESSION
from service.api.refusals import refusal_response
from service.errors import TooLarge

LARGE_BYTES = 2**16  # what is shorter is parsed in a few milliseconds, whatever it holds
MAX_PARTS = 2**17

_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def check_parts(body: bytes) -> None:
    """Refuse JSON that would take long to parse. Punctuation within texts does not count.

    Raises:
        TooLarge: It holds more than MAX_PARTS lists and objects, or as many texts and names.
    """
    if _num_lists(body) <= MAX_PARTS and body.count(b'"') <= 2 * MAX_PARTS:
        return
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if unescaped.count(b'"') > 2 * MAX_PARTS:
        raise TooLarge(f"what is sent may hold at most {MAX_PARTS} texts and names of fields together")
    if _num_lists(b"".join(unescaped.split(b'"')[::2])) > MAX_PARTS:
        raise TooLarge(f"what is sent may hold at most {MAX_PARTS} lists and objects together")


async def parsing_turn() -> None:
    """Wait until a large body may be parsed, which its caller does at once, without waiting for anything in between.

    One at a time, and after each the loop has as long for all else as that took.
    """
    loop = asyncio.get_running_loop()
    lock = _locks.setdefault(loop, asyncio.Lock())
    await lock.acquire()
    loop.call_soon(_rest, loop, lock, time.perf_counter())


class LargeBodyMiddleware:
    """Checks large bodies and hands them on in turn. Expects the body as one message, and of an import no JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == IMPORT_SESSION.path:
            await self._app(scope, receive, send)
            return
        message = await receive()
        body: bytes = message.get("body", b"")
        pending: list[Message] = [message]
        if len(body) > LARGE_BYTES:
            try:
                check_parts(body)
            except TooLarge as error:
                await refusal_response(scope["path"], error)(scope, receive, send)
                return

        async def replay() -> Message:
            if not pending:
                return await receive()
            if len(body) > LARGE_BYTES:
                await parsing_turn()
            return pending.pop()

        await self._app(scope, replay, send)


def _num_lists(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


def _rest(loop: asyncio.AbstractEventLoop, lock: asyncio.Lock, began: float) -> None:
    """Called in the next turn of the loop, when what was to be parsed has been."""
    loop.call_later(time.perf_counter() - began, lock.release)
