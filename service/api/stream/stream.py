"""`WS /stream`: many sessions on one connection, one message a step, answers as they come.

    connection ─► messages ─► steps ─► outbox        connection: reads while there is room
                      └─► refusal ──────►            messages: what each means; outbox: sends, and finds slow clients

Steps of one session are answered in the order in which they came. Refusals are answers; close codes are for the
connection.
"""

import asyncio

from starlette.types import Receive, Scope, Send

from service.api.auth import subprotocol_of
from service.api.body_reader import BodyReader
from service.api.endpoints import STREAM
from service.api.problem import problem_response
from service.api.stream.connection import Connection
from service.api.stream.handshake import accept_and_close, refuse
from service.errors import ShuttingDown
from service.metrics import RequestTally
from service.steps.answer_room import AnswerRoom
from service.steps.steps import Steps

LINGER_SECONDS = 1.0
SERVICE_RESTART, STOPPING = 1012, "the service is about to stop"


class Stream:
    """Serves connections. `stop` closes each once its steps are answered, and refuses new ones."""

    def __init__(self, steps: Steps, answer_room: AnswerRoom, tally: RequestTally, bodies: BodyReader) -> None:
        self._steps = steps
        self._room = answer_room
        self._tally = tally
        self._bodies = bodies
        self._connections: set[Connection] = set()
        self._is_stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_stopping:
            await self._refuse(scope, receive, send)
            return
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": subprotocol_of(scope), "headers": []})
        connection = Connection(self._steps, self._room, self._tally, scope, self._bodies, send)
        self._connections.add(connection)
        try:
            await connection.serve(receive)
        finally:
            self._connections.discard(connection)

    async def drop_slow_readers(self) -> None:
        """Close the connections whose clients have not read an answer for too long."""
        for connection in self._connections:
            if connection.is_stalled:
                connection.drop()

    async def stop(self) -> None:
        """Close every connection, so that clients continue elsewhere. By then, no more steps are admitted.

        Clients have a moment to close their side: closing a socket with unread data resets it, and the last answers
        would be lost on the way. ASGI does not say when a client has closed.
        """
        self._is_stopping = True
        closing = [each.close(SERVICE_RESTART, STOPPING) for each in self._connections]
        await asyncio.gather(*closing)
        if closing:
            await asyncio.sleep(LINGER_SECONDS)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error, subprotocol = ShuttingDown(), subprotocol_of(scope)
        self._tally.add(STREAM.label, error.status, 0.0)
        if subprotocol is None:
            await refuse(problem_response(error), str(error), scope, receive, send)
        else:
            await accept_and_close(subprotocol, SERVICE_RESTART, STOPPING, receive, send)
