"""Bodies that take long to parse: their limits, and how many clients take turns with them.

Nothing else runs while a body is parsed. The time depends on its lists, objects, strings and names rather than on its
bytes: a string of eight megabytes takes a few milliseconds, eight megabytes of empty lists take seconds.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.endpoints import IMPORT_SESSION
from service.api.refusals import refusal_response
from service.api.wire import cancel_on_disconnect
from service.errors import QueueFull, TooLarge

LARGE_BYTES = 2**16  # shorter bodies are parsed in a few milliseconds, whatever they contain
MAX_PARTS = 2**17
MAX_WAITING_BYTES = 64 * 2**20  # per worker, whose clients send faster than it parses
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


class _Turns:
    """The turns of one event loop: the lock of the body that is parsed, and the bytes of bodies that wait."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.num_waiting_bytes = 0


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


def check_parts(body: bytes) -> None:
    """Refuse JSON that would take long to parse. Punctuation within strings does not count.

    Raises:
        TooLarge: It has more than MAX_PARTS lists and objects, or as many strings and names.
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
    """Count a body as waiting until its turn. One that exceeds the limit may wait if it is the only one.

    Raises:
        QueueFull: Too many bytes are waiting.
    """
    turns = _turns_here()
    if turns.num_waiting_bytes and turns.num_waiting_bytes + num_bytes > MAX_WAITING_BYTES:
        raise QueueFull("too many large bodies are waiting to be read; try again")
    turns.num_waiting_bytes += num_bytes
    try:
        yield
    finally:
        turns.num_waiting_bytes -= num_bytes


async def wait_to_parse() -> None:
    """Wait until a large body may be parsed. The caller then parses it at once, without awaiting anything before.

    Bodies are parsed one at a time. After each, the loop has as long for everything else as the parsing took.
    """
    lock = _turns_here().lock
    await lock.acquire()
    loop = asyncio.get_running_loop()
    loop.call_soon(_release_later, loop, lock, time.perf_counter())


async def wait_to_parse_for(body: bytes, receive: Receive) -> None:
    """Wait as `wait_to_parse` does, unless the client hangs up first.

    Raises:
        QueueFull: Too many bytes are waiting.
        ClientGone: The client hung up.
    """
    with waiting(len(body)):
        await cancel_on_disconnect(receive, wait_to_parse())


class LargeBodyMiddleware:
    """Checks large JSON bodies and hands them on in turn. Expects a body as one message, and no JSON in an import."""

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
                await wait_to_parse()
                kept.close()

            await self._app(scope, _after(message, receive, take), send)


def _after(message: Message, receive: Receive, turn: Callable[[], Awaitable[None]] | None = None) -> Receive:
    """Return a `receive` that returns a message received before when its turn has come, and then the following ones."""
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


def _release_later(loop: asyncio.AbstractEventLoop, lock: asyncio.Lock, began: float) -> None:
    """Release the lock after as long as the parsing took. Called in the loop's next turn, when the body is parsed."""
    loop.call_later(time.perf_counter() - began, lock.release)
