"""Bodies that take long to parse: what they may hold, and how those of many clients take turns.

Nothing else runs while a body is parsed. What it takes goes by its lists, objects, texts and names rather than by its
bytes: a text of eight megabytes takes a few milliseconds, as many empty lists take seconds.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.endpoints import IMPORT_SESSION
from service.api.refusals import refusal_response
from service.api.wire import unless_gone
from service.errors import QueueFull, TooLarge

LARGE_BYTES = 2**16  # what is shorter is parsed in a few milliseconds, whatever it holds
MAX_PARTS = 2**17
MAX_WAITING_BYTES = 64 * 2**20  # of a worker: its clients send faster than it parses
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


class _Turns:
    """Whose body is parsed, and what others keep in memory until theirs is."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.num_waiting_bytes = 0


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


def check_parts(body: bytes) -> None:
    """Refuse JSON that would take long to parse. Punctuation within texts does not count.

    Raises:
        TooLarge: It holds more than MAX_PARTS lists and objects, or as many texts and names.
    """
    if _num_lists(body) <= MAX_PARTS and body.count(b'"') <= 2 * MAX_PARTS:
        return
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if unescaped.count(b'"') > 2 * MAX_PARTS:
        raise TooLarge(f"the body may hold at most {MAX_PARTS} strings and field names together")
    if _num_lists(b"".join(unescaped.split(b'"')[::2])) > MAX_PARTS:
        raise TooLarge(f"the body may hold at most {MAX_PARTS} lists and objects together")


@contextmanager
def waiting(num_bytes: int) -> Iterator[None]:
    """Keep a body until its turn. One that is larger than all that may wait is kept if it is the only one.

    Raises:
        QueueFull: As many bytes wait as may.
    """
    turns = _turns_here()
    if turns.num_waiting_bytes and turns.num_waiting_bytes + num_bytes > MAX_WAITING_BYTES:
        raise QueueFull("too many large bodies are waiting to be read; try again")
    turns.num_waiting_bytes += num_bytes
    try:
        yield
    finally:
        turns.num_waiting_bytes -= num_bytes


async def parsing_turn() -> None:
    """Wait until a large body may be parsed, which its caller does at once, without waiting for anything in between.

    One at a time, and after each the loop has as long for all else as that took.
    """
    lock = _turns_here().lock
    await lock.acquire()
    loop = asyncio.get_running_loop()
    loop.call_soon(_rest, loop, lock, time.perf_counter())


async def turn_of(body: bytes, receive: Receive) -> None:
    """Wait as `parsing_turn` does, as long as the client does.

    Raises:
        QueueFull: As many bytes wait as may.
        ClientGone: The client hung up.
    """
    with waiting(len(body)):
        await unless_gone(receive, parsing_turn())


class LargeBodyMiddleware:
    """Checks large bodies and hands them on in turn. Expects the body as one message, and of an import no JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_json = scope["type"] == "http" and scope["method"] not in _WITHOUT_BODY
        if not has_json or scope["path"] == IMPORT_SESSION.path:
            await self._app(scope, receive, send)
            return
        message = await receive()
        body: bytes = message.get("body", b"")
        if len(body) <= LARGE_BYTES:
            await self._app(scope, _after(message, receive), send)
            return
        with ExitStack() as kept:
            try:
                check_parts(body)
                kept.enter_context(waiting(len(body)))
            except (QueueFull, TooLarge) as error:
                await refusal_response(scope["path"], error)(scope, receive, send)
                return

            async def take() -> None:
                await parsing_turn()
                kept.close()

            await self._app(scope, _after(message, receive, take), send)


def _after(message: Message, receive: Receive, turn: Callable[[], Awaitable[None]] | None = None) -> Receive:
    """Receive a message that was received already, when it is its turn, and then the others."""
    pending = [message]

    async def replay() -> Message:
        if not pending:
            return await receive()
        if turn is not None:
            await turn()
        return pending.pop()

    return replay


def _turns_here() -> _Turns:
    return _turns.setdefault(asyncio.get_running_loop(), _Turns())


def _num_lists(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


def _rest(loop: asyncio.AbstractEventLoop, lock: asyncio.Lock, began: float) -> None:
    """Called in the next turn of the loop, when what was to be parsed has been."""
    loop.call_later(time.perf_counter() - began, lock.release)
