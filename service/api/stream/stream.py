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
from service.api.stream.connection import Connection
from service.metrics import RequestTally
from service.steps.answer_room import AnswerRoom
from service.steps.steps import Steps

LINGER_SECONDS = 1.0
SERVICE_RESTART = 1012


class Stream:
    """Serves connections. `stop` closes them once their steps are answered."""

    def __init__(self, steps: Steps, answer_room: AnswerRoom, tally: RequestTally, bodies: BodyReader) -> None:
        self._steps = steps
        self._room = answer_room
        self._tally = tally
        self._bodies = bodies
        self._connections: set[Connection] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        """Close every connection, so that clients continue elsewhere.

        Clients have a moment to close their side: closing a socket with unread data resets it, and the last answers
        would be lost on the way. ASGI does not say when a client has closed.
        """
        closing = [each.close(SERVICE_RESTART, "the service is about to stop") for each in self._connections]
        await asyncio.gather(*closing)
        if closing:
            await asyncio.sleep(LINGER_SECONDS)
