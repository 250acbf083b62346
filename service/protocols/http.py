"""HTTP on both ports: uvicorn's protocol, hardened against odd and hostile clients.

Knows connections and where requests begin and end, but not what they ask.
"""

import asyncio
import base64
import errno
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import httptools
from starlette.responses import Response
from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.api.problem import plain_problem, problem_response
from service.concurrency.failures import FailureLog
from service.errors import HeadTooLarge, Malformed, OutOfResources, ServiceError, UpgradeNeeded
from service.process.open_files import first_reserved_descriptor, first_short_descriptor
from service.protocols.connections import HTTP, connections

# Least time that a connection may be silent. BentoML's five seconds, which apply in its own containers, are shorter
# than many clients' keep-alive, and than a slow client may need for a body.
KEEP_ALIVE_SECONDS = 75
# Limit of a request's line and header fields, which are held in memory before its caller is known.
MAX_HEAD_BYTES = 65_536
# How long to keep answering a half-closed connection. A client that gave up looks the same, so its work is cancelled
# afterwards.
HALF_CLOSED_SECONDS = 0.25
# How long to read on after the last answer. Closing with bytes unread would take the answer away from the client.
LINGER_SECONDS = 2.0
# How long a client's kernel may acknowledge none of the bytes sent before the connection is broken.
UNREAD_MILLISECONDS = 20_000
WEBSOCKET_VERSION, KEY_BYTES = b"13", 16
# How long a stopping worker waits for the next piece of an unfinished body, and for all of it.
STALLED_SECONDS, BODY_SECONDS = 1, 5

_too_many = FailureLog("new clients are disconnected")


OnRefused = Callable[[int], None]  # called with the status of a request that was refused before the application saw it


def use_guarded_http(refused: OnRefused) -> None:
    """Make this protocol uvicorn's default, for the server that BentoML creates for its port."""
    HTTP_PROTOCOLS["auto"] = cast(str, partial(GuardedHttpProtocol, refused))


class GuardedHttpProtocol(HttpToolsProtocol):
    """An HTTP connection.

    It may be silent for KEEP_ALIVE_SECONDS, or for the server's keep-alive time if that is longer: before its first
    request, within a body and after an answer. A head must be complete within that time, however much of it arrives.

    It ends when something other than HTTP arrives, when a WebSocket is requested before the previous answers are sent,
    or when the client closes its side. No further request is accepted then, but those received whole are answered
    first, because a step among them may have been committed.

    A request may ask for an upgrade to another protocol (`Upgrade: h2c`, which Java's client and curl's `--http2` send
    with every first request). httptools does not read the body of such a request but takes it for the next one, so the
    body is lost, or served as a request. Here the request is read again without that field, which a server may ignore
    (RFC 9110, section 7.8). WebSocket is the only upgrade that is supported.

    Args:
        refused: Called with the status of each request that is refused here.
    """

    def __init__(self, refused: OnRefused, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  whatever uvicorn's has
        super().__init__(*arguments, **more)
        self._refused = refused
        self.timeout_keep_alive = max(self.timeout_keep_alive, KEEP_ALIVE_SECONDS)
        self._is_short = False  # only one request is accepted, and no WebSocket
        self._is_ended = False  # no further request is accepted
        self._final_bytes = b""
        self._is_head = False  # whether the latest request is known to be HEAD, whose answer has no body
        self._waits_since: float | None = None  # for the client; None while it is not waited for
        # Those since a head was complete or a piece of a body came: of a head, or after a body.
        self._num_unparsed_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Overrides uvicorn, which waits for the first request for ever: start the timer.

        Close at once if the limit of open files leaves no room for the service's own. The last connections before that
        are for one request each, which comes at once: else no probe would be answered.
        """
        super().connection_made(transport)
        connections.begin(HTTP)
        descriptor = _descriptor(transport)
        if descriptor >= first_reserved_descriptor():
            _too_many.log(OSError(errno.EMFILE, "too many open files and connections (ulimit -n)"))
            transport.abort()
            return
        if descriptor >= first_short_descriptor():
            self._is_short = True
            self.timeout_keep_alive = STALLED_SECONDS
        _set_unread_timeout(transport)
        self._start_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Overrides uvicorn: cancel the timer after an error, too, because it keeps the connection in memory."""
        super().connection_lost(exc)
        connections.end(HTTP, exc)
        self._cancel_timer()

    def data_received(self, data: bytes) -> None:
        """Overrides uvicorn: ignore upgrades, and send the answers that are due before ending on what is not HTTP."""
        if self._is_ended:
            return
        self._num_unparsed_bytes += len(data)
        try:
            self._read(data)
        except httptools.HttpParserError as error:
            ours = error.__context__  # from a callback
            self._refuse(ours if isinstance(ours, ServiceError) else Malformed("what was sent is not HTTP/1.1"))
        if self._is_ended:
            return
        if self._num_unparsed_bytes > MAX_HEAD_BYTES:
            self._refuse(_head_too_large())
        elif self._waits_since is None and self._awaits_client:
            self._start_waiting()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """Overrides uvicorn, which closes: a client that has closed its side may still read the answer."""
        if self._awaits_client:
            self.transport.close()  # the event loop would close without the answer that is still to be written
            return True
        if not self._is_ended:
            self._stop_accepting()
        if self._cancels_on_disconnect:
            self.loop.call_later(HALF_CLOSED_SECONDS, self.transport.close)
        return True

    def shutdown(self) -> None:
        """Overrides uvicorn, which waits for every unfinished body: give up on one that stalls."""
        super().shutdown()
        if self._is_answered:
            return
        self.timeout_keep_alive = STALLED_SECONDS
        self.loop.call_later(BODY_SECONDS, self._give_up)
        self._cancel_timer()
        self.timeout_keep_alive_handler()

    def handle_websocket_upgrade(self) -> None:
        """Overrides uvicorn: refuse if a response is still to come, because it would go into the WebSocket, and refuse
        as a problem what websockets would refuse as plain text.
        """
        if not self._is_answered:
            self._refuse(Malformed("a WebSocket begins only once all answers are there"))
            return
        if self.parser.get_method() != b"GET":
            refused = plain_problem(HTTPStatus.METHOD_NOT_ALLOWED)
            refused.headers["Allow"] = "GET"
            self._refuse_with(refused, "a WebSocket begins with GET")
            return
        if (refusal := _handshake_refusal(self.headers)) is not None:
            self._refuse(refusal)
            return
        if self._is_short:
            self._refuse(OutOfResources("this worker has as many connections open as it may (ulimit -n)"))
            return
        self._is_ended = True
        self._cancel_timer()
        connections.end(HTTP)
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # as uvicorn does where a connection ends: it holds this

    def on_message_begin(self) -> None:
        """Overrides uvicorn, which waits for the rest of the head for ever: start the wait anew."""
        self._waits_since = None
        self._is_head = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Overrides uvicorn: if an upgrade is ignored, do not call the application yet: the head is read again."""
        self._pass_head()
        if not self.parser.should_upgrade() or self._should_upgrade():
            super().on_headers_complete()
            if (self.expect_100_continue or self._is_short) and not self.parser.should_upgrade():
                # A client refused before `100 Continue` may send its body all the same, or its next request.
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Overrides uvicorn, which limits neither: note that this is no head, and that the client is not silent."""
        self._num_unparsed_bytes = 0
        self._waits_since = None
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Overrides uvicorn: if the head asked for an upgrade, end no request, because none was begun."""
        self._num_unparsed_bytes = 0
        self._waits_since = None  # a chunked body's end may come by itself
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Overrides uvicorn: only note the time, because one timer that checks again is cheaper than one per answer."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            if self._awaits_client and not self.transport.is_closing():
                self._start_waiting()
            return
        self.server_state.total_requests += 1
        self.cycle.body = bytearray()  # the body may be large, and the connection idle for long
        self.flow.resume_reading()
        if self._is_ended:
            self._close_with_final_bytes()
            return
        self._start_waiting()

    def timeout_keep_alive_handler(self) -> None:
        """Overrides uvicorn, which closes: check again later if the client was not silent all the time."""
        self.timeout_keep_alive_task = None
        if self._waits_since is None:
            return  # the next wait starts the timer
        left = self._waits_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._schedule_check(left)
        elif self.flow.read_paused:
            self._schedule_check(self.timeout_keep_alive)  # it is not the client that is slow
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        """Overrides uvicorn: let the timer run when something arrives, because it checks for itself."""
        self._waits_since = None

    def _start_waiting(self) -> None:
        self._waits_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._schedule_check(self.timeout_keep_alive)

    def _schedule_check(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _cancel_timer(self) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def _give_up(self) -> None:
        if self._awaits_client:
            self.transport.close()

    @property
    def _is_answered(self) -> bool:
        """Whether all requests have been answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def _awaits_client(self) -> bool:
        """Whether the connection is waiting for the client to send more."""
        return self._is_answered or (self.cycle.more_body and not self.pipeline)

    @property
    def _cancels_on_disconnect(self) -> bool:
        """Whether to cancel what is under way once its client has gone."""
        return True

    def _pass_head(self) -> None:
        """Accept a head that is complete, or raise HeadTooLarge or Malformed."""
        self._is_head = self.parser.get_method() == b"HEAD"
        if self._num_unparsed_bytes > MAX_HEAD_BYTES:  # perhaps too large, or a body has come with it
            num_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if num_bytes > MAX_HEAD_BYTES:
                raise _head_too_large()
        _check_host(self.headers, self.parser.get_http_version())
        self._num_unparsed_bytes = 0
        self._waits_since = None

    def _refuse(self, error: ServiceError) -> None:
        self._refuse_with(problem_response(error), str(error))

    def _refuse_with(self, response: Response, reason: str) -> None:
        self.logger.warning(
            "closing the connection from %s: %s", self.client[0] if self.client else "an unknown address", reason
        )
        if self._is_answered or not self._awaits_client:  # else the application knows the beginning of its body
            self._refused(response.status_code)
        if self._is_head:
            response.body = b""
        self._stop_accepting(last_answer(response, self.server_state.default_headers))

    def _stop_accepting(self, final_bytes: bytes = b"") -> None:
        """Close, with these last bytes, once all requests that came whole have been answered."""
        self._is_ended, self._final_bytes = True, final_bytes
        if self.pipeline and self.cycle.more_body:
            self.pipeline.popleft()  # the latest, which is broken, and which `final_bytes` answer
            self.cycle.more_body = False
        if self._awaits_client:
            self._close_with_final_bytes()

    def _close_with_final_bytes(self) -> None:
        final_bytes = self._final_bytes
        if not self._is_answered:
            final_bytes = b"" if self.cycle.response_started else final_bytes
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.is_closing():
            return
        if not final_bytes or not self.transport.can_write_eof():
            self.transport.write(final_bytes)
            self.transport.close()
            return
        self.transport.write(final_bytes)
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _read(self, data: bytes | memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0] :]
            if self._should_upgrade():
                if data:
                    self._refuse(Malformed("a WebSocket's client must wait for the answer to its handshake"))
                else:
                    self.handle_websocket_upgrade()
                return
            self._read_without_upgrade()

    def _read_without_upgrade(self) -> None:
        """Read the head that asked for an upgrade again, with a parser that waits for its body."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise httptools.HttpParserError("CONNECT is not supported")
        fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version.encode(), b"".join(fields))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.parser.feed_data(head)


def last_answer(response: Response, server_fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A response as it is sent by a server without an application: the connection ends with it."""
    own = [field for field in response.raw_headers if field[0] != b"connection"]
    connection = b"close, upgrade" if response.status_code == UpgradeNeeded.status else b"close"
    fields = [*server_fields, *own, (b"connection", connection)]
    head = b"".join([STATUS_LINE[response.status_code], *(b"%b: %b\r\n" % field for field in fields), b"\r\n"])
    return head + bytes(response.body)


def _descriptor(transport: asyncio.Transport) -> int:
    connection = transport.get_extra_info("socket")
    return -1 if connection is None else int(connection.fileno())


def _set_unread_timeout(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if sys.platform == "linux" and connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)


def _handshake_refusal(headers: Iterable[tuple[bytes, bytes]]) -> ServiceError | None:
    """Return why a WebSocket of that version or key cannot begin (RFC 6455, section 4.2.2). None if it can."""
    fields = [field for field in headers if field[0].startswith(b"sec-websocket-")]
    if [value for name, value in fields if name == b"sec-websocket-version"] != [WEBSOCKET_VERSION]:
        return UpgradeNeeded("version 13 of WebSocket is spoken here: Sec-WebSocket-Version: 13")
    if not _is_key([value for name, value in fields if name == b"sec-websocket-key"]):
        return Malformed("a WebSocket needs one Sec-WebSocket-Key, of 16 bytes in base64")
    return None


def _is_key(values: Sequence[bytes]) -> bool:
    try:
        (key,) = values
        return len(base64.b64decode(key, validate=True)) == KEY_BYTES
    except ValueError:
        return False


def _check_host(headers: Iterable[tuple[bytes, bytes]], version: str) -> None:
    """Raise Malformed if a head does not name its host exactly once (RFC 9112, section 3.2)."""
    hosts = [value for name, value in headers if name == b"host"]
    if not hosts and version == "1.0":
        return
    if len(hosts) != 1 or not hosts[0].strip():
        raise Malformed("a request needs exactly one Host header, not empty")


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge(f"a request's line and header fields may have at most {MAX_HEAD_BYTES} bytes")
