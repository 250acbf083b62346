"""Applications asked without a server: what one is handed, and what it sends."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson
from starlette.types import ASGIApp, Message, Scope

from service.api.application import Application
from service.api.stream.channel import offer
from service.concurrency.open_answers import OpenAnswers
from service.questions import Questions
from service.reload import Reloader
from service.settings import ServerSettings, SessionSettings, Settings
from tests.fakes.process import LIMITS, Process
from tests.fakes.stores import FaultyStore

OWNER = "unrolled.owner"
MAX_BYTES = 100_000
JSON = {"content-type": "application/json"}


class Answered(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401  whatever JSON can hold
        """The body, decoded."""
        return orjson.loads(self.body)


class Exchange:
    """A request under way.

    Attributes:
        sent: What the application has sent so far.
        may_read: The client does not read while it is cleared.
    """

    def __init__(self, app: ASGIApp, scope: Scope, body: bytes | None) -> None:
        self.sent: list[Message] = []
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        if body is not None:
            self.send_body(body)
        self._task = asyncio.ensure_future(app(scope, self._messages.get, self._send))

    def hang_up(self) -> None:
        """The client goes."""
        self._messages.put_nowait({"type": "http.disconnect"})

    async def cancel(self) -> None:
        """The server gives the request up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def send_body(self, piece: bytes, more_body: bool = False) -> None:
        """Send a piece of the body."""
        self._messages.put_nowait({"type": "http.request", "body": piece, "more_body": more_body})

    async def answered(self) -> Answered:
        """The response, once it is whole."""
        await self._task
        start, *parts = self.sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answered(start["status"], headers, b"".join(part.get("body", b"") for part in parts))

    @property
    def body(self) -> bytes:
        """What was sent of the body."""
        return b"".join(message.get("body", b"") for message in self.sent)

    async def _send(self, message: Message) -> None:
        await self.may_read.wait()
        self.sent.append(message)


class Client:
    """Asks an application as one owner."""

    def __init__(self, app: ASGIApp, owner: str = "ann") -> None:
        self.app = app
        self.owner = owner

    def begin(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str] = JSON,
        http_version: str = "1.1",
    ) -> Exchange:
        """Begin a request; without a body, that is sent later."""
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "http_version": http_version,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            OWNER: self.owner,
        }
        return Exchange(self.app, scope, body)

    async def post(self, path: str, body: bytes | object, headers: Mapping[str, str] = JSON) -> Answered:
        """Post bytes, or what is sent as JSON."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.begin("POST", path, content, headers).answered()

    async def request(self, method: str, path: str, headers: Mapping[str, str] = JSON) -> Answered:
        """A request without a body."""
        return await self.begin(method, path, b"", headers).answered()


class Socket:
    """A WebSocket as its client has it.

    Attributes:
        may_read: The client does not read while it is cleared.
        num_unread: Messages that the application has been handed and has not taken.
    """

    def __init__(self, app: ASGIApp, owner: str) -> None:
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._to_app.put_nowait({"type": "websocket.connect"})
        self.scope: Scope = {"type": "websocket", "path": "/stream", "headers": [], "subprotocols": [], OWNER: owner}
        self.task = asyncio.ensure_future(app(self.scope, self._to_app.get, self._send))

    @property
    def num_unread(self) -> int:
        """Messages that the application has not taken yet."""
        return self._to_app.qsize()

    def say(self, **item: object) -> None:
        """Send one item as text."""
        self.say_text(json.dumps(item))

    def say_text(self, text: str) -> None:
        """Send a text frame."""
        self._say({"type": "websocket.receive", "text": text})

    def say_bytes(self, content: bytes) -> None:
        """Send a binary frame."""
        self._say({"type": "websocket.receive", "bytes": content})

    def _say(self, message: Message) -> None:
        self._to_app.put_nowait(message)

    def hang_up(self) -> None:
        """The client goes."""
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def told(self) -> Message:
        """The next message of the application."""
        async with asyncio.timeout(60):
            return await self._from_app.get()

    async def heard(self) -> Any:  # noqa: ANN401  whatever JSON can hold
        """The next answer, decoded."""
        return orjson.loads((await self.told())["text"])

    async def _send(self, message: Message) -> None:
        await self.may_read.wait()
        self._from_app.put_nowait(message)


class ChannelSocket(Socket):
    """A WebSocket of a server that offers a channel."""

    def __init__(self, app: ASGIApp, owner: str) -> None:
        super().__init__(app, owner)
        self._take: Callable[[Message], None] | None = None
        self._held: deque[Message] = deque()
        self._is_paused = self._is_resuming = False
        offer(self.scope, self)

    @property
    def num_unread(self) -> int:
        """Messages that the application has not taken yet."""
        return len(self._held) + super().num_unread

    @property
    def is_writable(self) -> bool:
        """Whether the client reads."""
        return self.may_read.is_set()

    async def drained(self) -> None:
        """Wait until it has read all."""
        await self.may_read.wait()

    def deliver_to(self, take: Callable[[Message], None]) -> None:
        """Hand over what is said from now on."""
        self._take = take

    def release(self, messages: Iterable[Message]) -> None:
        """Hand over nothing more."""
        self._take = None
        for message in messages:
            self._to_app.put_nowait(message)

    def pause(self) -> None:
        """Hold what is said."""
        self._is_paused = True

    def resume(self) -> None:
        """Hand over what was held, one message after the other as a real server does."""
        self._is_paused = False
        if self._is_resuming:
            return
        self._is_resuming = True
        while self._held and not self._is_paused:
            self._say(self._held.popleft())
        self._is_resuming = False

    def send_now(self, message: Message, at_once: bool) -> None:
        """An answer."""
        self._from_app.put_nowait(message)

    def _say(self, message: Message) -> None:
        if self._take is None:
            super()._say(message)
        elif self._is_paused:
            self._held.append(message)
        else:
            self._take(message)


class Surface:
    """The plain application over a process.

    Attributes:
        socket_type: What its connections are.
    """

    socket_type: type[Socket] = Socket

    def __init__(self, process: Process, timeout_seconds: float = 10.0) -> None:
        core, catalog, metrics = copy(process.core), process.catalog, process.metrics
        core.open_answers = OpenAnswers(timeout_seconds)
        application = Application(
            core,
            catalog,
            Reloader(catalog, FaultyStore(), "a", ()),
            Questions(catalog, metrics, core.open_answers, core.answer_room),
            metrics,
            None,
            Settings(server=ServerSettings(max_body_bytes=MAX_BYTES), sessions=SessionSettings(**LIMITS)),
            lambda: catalog.is_serving,
            clock=process.clock,
        )
        self.app, self.stream = application.unguarded, application.stream
        self.client = Client(self.app)

    @asynccontextmanager
    async def connected(self, owner: str = "ann") -> AsyncIterator[Socket]:
        """A connection that was accepted."""
        socket = self.socket_type(self.app, owner)
        assert (await socket.told())["type"] == "websocket.accept"
        try:
            yield socket
        finally:
            socket.hang_up()
            async with asyncio.timeout(60):
                await socket.task
