"""The answer to one of many steps: its outputs or its own refusal."""

from collections.abc import Iterator
from typing import Any

import orjson

from service.api.problem import problem_of
from service.api.refusals import refusal_of
from service.errors import ServiceError
from service.steps.turn import Turn


def refusal(turn: Turn) -> ServiceError:
    """Return the refusal of a turn that has no answer."""
    return refusal_of(turn.error or RuntimeError("a turn has neither answer nor error"))


def item_status(turn: Turn) -> int:
    """Return the HTTP status of a step as one of many."""
    return refusal(turn).status if turn.answer is None else 200


def refused_item(turn: Turn) -> dict[str, Any]:
    """Return a refused step as one of many."""
    error = refusal(turn)
    return {"session_id": turn.ask.session_id, "status": error.status, "problem": problem_of(error)}


def item_json(turn: Turn) -> bytes:
    """Return a step, answered or refused, as one of many."""
    if turn.answer is None:
        return orjson.dumps(refused_item(turn))
    return b'{"status":200,%b' % turn.answer.json()[1:]


def item_pieces(turn: Turn) -> Iterator[bytes]:
    """Yield what `item_json` returns in pieces to send."""
    if turn.answer is None or not turn.answer.is_large:
        yield item_json(turn)
        return
    pieces = turn.answer.json_pieces()
    yield b'{"status":200,%b' % next(pieces)[1:]
    yield from pieces
