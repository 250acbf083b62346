"""Errors of single items of a request, which do not fail the others."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from service.api.body import parsed
from service.errors import InvalidInput
from service.forms.steps import MAX_ITEMS

F = TypeVar("F", bound=BaseModel)


def parsed_items(
    form: type[F], item_form: type[BaseModel], body: bytes, empty: Mapping[str, Any]
) -> tuple[F, dict[int, InvalidInput]]:
    """Parse a body with `items`, and collect the errors of single items.

    Args:
        form: Of the body.
        item_form: Of an item.
        body: JSON.
        empty: Replaces a wrong item in the form, with the session id that was sent.

    Returns:
        The form, and the errors by the index of their item.

    Raises:
        Malformed, InvalidInput: It is wrong elsewhere; see `parsed`.
    """
    try:
        return parsed(form, body), {}
    except InvalidInput:
        document = _document(body)
        if document is None:
            raise
        wrong = _item_errors(item_form, document["items"], empty)
        if not wrong:
            raise
    return parsed(form, orjson.dumps(document)), wrong


def _document(body: bytes) -> dict[str, Any] | None:
    """A body whose items can be looked at one by one."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:  # pydantic knows NaN
        return None
    items = document.get("items") if isinstance(document, dict) else None
    return document if isinstance(items, list) and len(items) <= MAX_ITEMS else None


def _item_errors(item_form: type[BaseModel], items: list[Any], empty: Mapping[str, Any]) -> dict[int, InvalidInput]:
    wrong = {}
    for index, item in enumerate(items):
        try:
            parsed(item_form, orjson.dumps(item))
        except InvalidInput as error:
            wrong[index] = error
            session_id = item.get("session_id") if isinstance(item, dict) else None
            items[index] = {**empty, "session_id": session_id if isinstance(session_id, str) else ""}
    return wrong
