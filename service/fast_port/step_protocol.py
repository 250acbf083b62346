"""HTTP on the second port: the guarded protocol, in which single steps bypass the application.

uvicorn creates a scope, a task, an event, two messages and a timer for each request. A step that is one run of a graph
needs none of them, and they cost as much as the step. Nor is its head parsed if the connection has sent it before. All
other requests are left to uvicorn.
"""

from typing import Any, cast

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from service.api.endpoints import TAKE_STEP
from service.api.steps.single_steps import Caller, SingleSteps
from service.fast_port.coalesced_writes import CoalescingProtocol, CoalescingTransport
from service.fast_port.head_cache import HeadCache
from service.protocols.http import OnRefused

PREFIX, SUFFIX = TAKE_STEP.path.encode().split(b"{session_id}")
_ID_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


class _NobodyWaits:
    """In place of an event: no task waits for a part of the body."""

    def set(self) -> None:
        """Wake nobody."""


_NOBODY_WAITS = _NobodyWaits()


class StepCycle:
    """A request for a step and its response, with what uvicorn's protocol expects of a cycle.

    Attributes:
        session_id: The session of the step.
        body: The body as far as it has arrived.
        more_body: Whether more of it is to come.
        keep_alive: Whether the connection stays open after the response.
        response_started: Always False: a response is written whole.
        response_complete: Whether it was answered.
        disconnected: Whether the client has gone.
        message_event: What uvicorn sets when there is more of the body, or no more client.
    """

    def __init__(self, session_id: str, body: bytes | None = None) -> None:
        self.session_id = session_id
        self.body = body or b""
        self.more_body = body is None
        self.keep_alive = True
        self.response_started = False
        self.response_complete = False
        self.disconnected = False
        self.message_event = _NOBODY_WAITS


class StepProtocol(CoalescingProtocol):
    """An HTTP connection whose single steps bypass the application.

    Args:
        refused: See `GuardedHttpProtocol`.
        single_steps: Answers single steps.
    """

    def __init__(self, refused: OnRefused, single_steps: SingleSteps, **of_uvicorn: Any) -> None:  # noqa: ANN401  whatever uvicorn's has
        super().__init__(refused, **of_uvicorn)
        self._single_steps = single_steps
        self._head_cache = HeadCache()
        self._is_between = True  # between two requests, as the parser sees it
        self._arrived = b""  # the bytes that are being parsed, if a request begins with them

    def data_received(self, data: bytes) -> None:
        """Overrides uvicorn, which parses all of it: a step whose head is cached needs no parser."""
        if not self._begin_known(data):
            self._arrived = data if self._is_between else b""
            super().data_received(data)
            self._arrived = b""

    def on_message_begin(self) -> None:
        """Overrides uvicorn: make no scope yet, because only the application needs one."""
        self._is_between = self._is_head = False
        self._waits_since = None
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Overrides uvicorn, which calls the application: a request that may be a step waits for its body first."""
        self._pass_head()
        session_id = self._session_id()
        if session_id is None:
            self._ask_application()
        else:
            self.cycle = cast(Any, StepCycle(session_id))

    def on_body(self, body: bytes) -> None:
        """Overrides uvicorn: only collect the body of a step, because it is short and is taken whole."""
        cycle: object = self.cycle
        if isinstance(cycle, StepCycle) and cycle.more_body:
            cycle.body += body
            self._num_unparsed_bytes = 0
            self._waits_since = None
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Overrides uvicorn: begin the step, because its body is complete, or call the application after all."""
        self._is_between = True
        cycle: object = self.cycle
        if not (isinstance(cycle, StepCycle) and cycle.more_body):
            super().on_message_complete()
            return
        cycle.more_body = False
        if not self._begin_parsed(cycle):
            cycle.response_complete = True
            self._ask_application()
            self.cycle.keep_alive = cycle.keep_alive  # the server may have begun to stop meanwhile
            super().on_body(cycle.body)
            super().on_message_complete()

    def _ask_application(self) -> None:
        """Hand a request whose head is complete to uvicorn."""
        url, headers, is_expected = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, is_expected
        self.headers += headers  # in place, because the scope has this list, too
        super().on_headers_complete()

    def _session_id(self) -> str | None:
        """Return the session id of a request for a single step that may bypass the application. None for any other."""
        url = self.url
        if not (url.startswith(PREFIX) and url.endswith(SUFFIX)) or self.parser.get_method() != b"POST":
            return None
        session_id = url[len(PREFIX) : -len(SUFFIX)]
        is_id = session_id and _ID_CHARACTERS.issuperset(session_id)
        # A client that does not read its answers is left to uvicorn, which waits for it and reads no more meanwhile.
        is_next = self._is_answered and not self.flow.write_paused and not self._is_short
        is_plain = self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive()
        if not is_id or not is_next or not is_plain or not _is_short_json(self.headers):
            return None
        return session_id.decode()

    @property
    def _cancels_on_disconnect(self) -> bool:
        return not isinstance(self.cycle, StepCycle)  # a step is finished all the same

    def _begin_known(self, content: bytes) -> bool:
        """Begin the requested step if its head is cached. Returns whether it has begun."""
        head = self._head_cache.find(content)
        if head is None or not self._is_between or not self._is_answered or self._is_ended or self.flow.write_paused:
            return False
        self._waits_since = None
        step = StepCycle(head.session_id, content[head.num_bytes :])
        before, self.cycle = self.cycle, cast(Any, step)
        if not self._begin(step, head.caller):
            self.cycle = before
            return False
        return True

    def _begin_parsed(self, cycle: StepCycle) -> bool:
        """Begin the step whose request was parsed. Returns False if it must go to the application."""
        caller, num_body_bytes = self._single_steps.authenticate(self.headers), len(cycle.body)
        if caller is None or not self._begin(cycle, caller):
            return False
        self._head_cache.add(self._arrived, cycle.session_id, caller, num_body_bytes)
        return True

    def _begin(self, cycle: StepCycle, caller: Caller) -> bool:
        return self._single_steps.try_begin(
            caller, cycle.session_id, cycle.body, lambda head, body: self._answer(cycle, head, body)
        )

    def _answer(self, cycle: StepCycle, head: bytes, body: bytes) -> None:
        cycle.response_complete = True
        if cycle.disconnected or self.transport.is_closing():
            return
        for field in self.server_state.default_headers:  # the date, which uvicorn renders once a second
            head += b"%b: %b\r\n" % field
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        cast(CoalescingTransport, self.transport).write_at_once(head + end + body)
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()


def _is_short_json(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the fields announce a short JSON body without an Expect, a coding or an upgrade."""
    length = b""
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name == b"content-type":
            if value != b"application/json":
                return False
        elif name in (b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"):
            return False
    return len(length) < 6 and length.isdigit() and int(length) <= HIGH_WATER_LIMIT
