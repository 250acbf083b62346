"""`POST /sessions/{id}/steps` and `POST /steps`: one step, or steps of many sessions in one request."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from starlette.types import Receive, Scope, Send

from service.api import endpoints
from service.api.auth import owner_of
from service.api.body import parsed_body
from service.api.body_reader import BodyReader
from service.api.events import stream_step
from service.api.headers import HEADER_LENGTH, header
from service.api.media_types import OCTETS
from service.api.routes import HotHandlers
from service.api.steps import binary
from service.api.steps.item_errors import parsed_items
from service.api.steps.items import item_json, item_pieces, item_status
from service.api.wire import (
    cancel_on_disconnect,
    check_encoding,
    check_json,
    enter_room,
    media_type,
    read_body,
    respond,
    respond_in_pieces,
)
from service.errors import ServiceError
from service.forms.steps import TENSOR_FIELDS, StepItem, StepItems, StepRequest
from service.metrics import Metrics
from service.steps.answer_room import AS_A_WHOLE, IN_PIECES, AnswerRoom, Holding
from service.steps.steps import Steps
from service.steps.turn import Ask, Turn


class StepRoutes:
    """Steps over HTTP. Each handler returns the status to count, or raises a refusal.

    Args:
        steps: Takes them.
        answer_room: Makes large answers wait for memory.
        bodies: Reads the bodies of requests.
        metrics: Observes the time to the first piece of a streamed step, and counts the steps of many.
    """

    def __init__(self, steps: Steps, answer_room: AnswerRoom, bodies: BodyReader, metrics: Metrics) -> None:
        self._steps = steps
        self._room = answer_room
        self._bodies = bodies
        self._metrics = metrics

    def handlers(self) -> HotHandlers:
        """The handler of each endpoint."""
        return {endpoints.TAKE_STEP: self.take_step, endpoints.TAKE_STEPS: self.take_steps}

    async def take_step(self, scope: Scope, receive: Receive, send: Send, session_id: str) -> int:
        """Take one step of one session."""
        check_json(scope)
        body, started = await self._body(scope, receive)
        request = parsed_body(StepRequest, body)
        ask = ask_of(owner_of(scope), session_id, request)
        if ask.is_streamed:
            first_piece = self._metrics.time_to_first_token.observe
            return await stream_step(self._steps, ask, first_piece, scope, receive, send)
        with self._room.of_items(num_answered(request), _bytes_per_logit(scope)) as holding:
            await enter_room(holding, receive)
            if ask.is_in_tensors and not holding.num_bytes:
                answer = await self._steps.take(ask, started)
            else:
                answer = await cancel_on_disconnect(receive, self._steps.take(ask, started))
            if answer.is_large:
                await self._send_large(scope, receive, send, answer.json_pieces())
            else:
                await respond(send, answer.json())
        return 200

    async def take_steps(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Take steps of many sessions, each with its own answer or refusal."""
        is_binary = media_type(scope) == OCTETS
        (check_encoding if is_binary else check_json)(scope)
        body, started = await self._body(scope, receive)
        await (self._take_binary if is_binary else self._take_items)(body, started, scope, receive, send)
        return 200

    async def _body(self, scope: Scope, receive: Receive) -> tuple[bytes, float]:
        """Return a body that may be parsed, and when all of it was here: its steps have their time from then."""
        body = await read_body(scope, receive, self._bodies.max_bytes)
        started = time.perf_counter()
        await self._bodies.wait_to_parse_for(body, receive)
        return body, started

    async def _take_binary(self, body: bytes, started: float, scope: Scope, receive: Receive, send: Send) -> None:
        request = binary.read(body, header(scope["headers"], HEADER_LENGTH))
        with self._room.of_items(request.num_answered, AS_A_WHOLE) as holding:
            await enter_room(holding, receive)
            turns = await self._take_all(request.asks(owner_of(scope)), request.wrong, holding, receive, started)
            content, header_length = binary.write(turns)
            await respond(send, content, OCTETS.encode(), headers=[(HEADER_LENGTH, b"%d" % header_length)])

    async def _take_items(self, body: bytes, started: float, scope: Scope, receive: Receive, send: Send) -> None:
        many, wrong = parsed_items(StepItems, StepItem, body or b"{}", {"inputs": {}})
        num_items = sum(map(num_answered, many.items))
        owner = owner_of(scope)
        asks = [ask_of(owner, item.session_id, item, num_items) for item in many.items]
        with self._room.of_items(num_items, _bytes_per_logit(scope)) as holding:
            await enter_room(holding, receive)
            turns = await self._take_all(asks, wrong, holding, receive, started)
            if any(turn.answer is not None and turn.answer.is_large for turn in turns):
                await self._send_large(scope, receive, send, _items_pieces(turns))
            else:
                await respond(send, b'{"items":[%b]}' % b",".join(map(item_json, turns)))

    async def _send_large(self, scope: Scope, receive: Receive, send: Send, pieces: Iterator[bytes]) -> None:
        """Send an answer piece by piece without telling its length, or as a whole to HTTP/1.0, which must know it."""
        if _takes_pieces(scope):
            await cancel_on_disconnect(receive, respond_in_pieces(send, pieces))
        else:
            await respond(send, await asyncio.to_thread(b"".join, pieces))

    async def _take_all(
        self,
        asks: Sequence[Ask],
        wrong: Mapping[int, ServiceError],
        holding: Holding,
        receive: Receive,
        started: float,
    ) -> list[Turn]:
        """Return all turns, each with its answer or refusal. Long ones are called off if the client hangs up."""
        taking = self._taken(asks, wrong, started)
        is_short = not holding.num_bytes and all(ask.is_in_tensors for ask in asks)
        turns = await (taking if is_short else cancel_on_disconnect(receive, taking))
        for status, num_items in Counter(map(item_status, turns)).items():
            self._metrics.step_items.labels(str(status)).inc(num_items)
        return turns

    async def _taken(self, asks: Sequence[Ask], wrong: Mapping[int, ServiceError], started: float) -> list[Turn]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        num_open = len(asks) - len(wrong)

        def done(_: Turn) -> None:
            nonlocal num_open
            num_open -= 1
            if not num_open and not future.done():
                future.set_result(None)

        turns = [Turn(ask, done, started=started, source=future) for ask in asks]
        for index, error in wrong.items():
            turns[index].error = error
        for turn in turns:
            if turn.error is None:
                self._steps.submit(turn)
        try:
            if num_open:
                await future
        finally:
            if num_open:
                for turn in turns:
                    self._steps.call_off(turn)
        return turns


def ask_of(owner: str, session_id: str, request: StepRequest, num_request_items: int = 0) -> Ask:
    """Return the ask of a request. `num_request_items` is that of `Ask`."""
    return Ask(
        owner,
        session_id,
        step=request.step,
        inputs=request.inputs,
        returns=request.returns,
        allow_numerics_change=request.allow_numerics_change,
        is_streamed=request.stream,
        num_request_items=num_request_items,
    )


def _takes_pieces(scope: Scope) -> bool:
    return bool(scope["http_version"] != "1.0")


def _bytes_per_logit(scope: Scope) -> int:
    return IN_PIECES if _takes_pieces(scope) else AS_A_WHOLE


def _items_pieces(turns: Sequence[Turn]) -> Iterator[bytes]:
    before = b'{"items":['
    for turn in turns:
        yield before
        yield from item_pieces(turn)
        before = b","
    yield b"]}"


def num_answered(request: StepRequest) -> int:
    """Return the number of items that may be answered with logits. 0 if the step is not in tensors."""
    if request.returns not in (None, "logits"):
        return 0
    tensors = [request.inputs[name] for name in TENSOR_FIELDS.intersection(request.inputs)]
    return sum(len(values) for values in tensors if isinstance(values, list))
