"""Reads bodies, and limits those that take long to parse.

Nothing else runs while a body is parsed. The time depends on its lists, objects, strings and names rather than on its
bytes: a string of eight megabytes takes a few milliseconds, eight megabytes of empty lists take seconds.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Receive, Scope

from service.api.wire import cancel_on_disconnect, read_body
from service.errors import QueueFull, TooLarge

LARGE_BYTES = 2**16  # shorter bodies are parsed in a few milliseconds, whatever they contain
MAX_PARTS = 2**17
MAX_WAITING_BYTES = 64 * 2**20  # per worker, whose clients send faster than it parses


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


class BodyReader:
    """Reads bodies. Those that take long to parse take turns: after each, everything else has as long as it took.

    Args:
        max_bytes: Longest body.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = asyncio.Lock()
        self._num_waiting_bytes = 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """Read a whole body, and wait until it may be parsed. The caller then parses it before it awaits anything.

        Raises:
            TooLarge: It has more bytes than allowed.
            QueueFull: Too many bytes are waiting.
            ClientGone: The client hung up.
        """
        body = await read_body(scope, receive, self.max_bytes)
        await self.wait_to_parse_for(body, receive)
        return body

    async def wait_to_parse_for(self, body: bytes, receive: Receive) -> None:
        """Wait as `wait_to_parse` does, if a body that was read is large.

        Raises:
            QueueFull: Too many bytes are waiting.
            ClientGone: The client hung up.
        """
        if len(body) > LARGE_BYTES:
            with self.waiting(len(body)):
                await cancel_on_disconnect(receive, self.wait_to_parse())

    async def wait_to_parse(self) -> None:
        """Wait until a large body may be parsed. The caller then parses it before it awaits anything."""
        await self._lock.acquire()
        asyncio.get_running_loop().call_soon(self._release_later, time.perf_counter())

    @contextmanager
    def waiting(self, num_bytes: int) -> Iterator[None]:
        """Count a body as waiting until its turn. One that exceeds the limit may wait if it is the only one.

        Raises:
            QueueFull: Too many bytes are waiting.
        """
        if self._num_waiting_bytes and self._num_waiting_bytes + num_bytes > MAX_WAITING_BYTES:
            raise QueueFull("too many large bodies are waiting to be read; try again")
        self._num_waiting_bytes += num_bytes
        try:
            yield
        finally:
            self._num_waiting_bytes -= num_bytes

    def _release_later(self, began: float) -> None:
        """Release the lock after as long as the parsing took. Called in the loop's next turn, when that is done."""
        asyncio.get_running_loop().call_later(time.perf_counter() - began, self._lock.release)


def _num_lists(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")
