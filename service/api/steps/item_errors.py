"""Errors of single items of a request, which do not fail the others."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from service.api.body import parsed
from service.errors import MAX_MISTAKES, InvalidInput
from service.forms.steps import MAX_ITEMS

F = TypeVar("F", bound=BaseModel)


def parsed_items(
    form: type[F], item_form: type[BaseModel], body: bytes, empty: Mapping[str, Any]
) -> tuple[F, dict[int, InvalidInput]]:
    """Parse a body with `items`, and collect the errors of single items.

    Args:
        form: Form of the body.
        item_form: Form of an item.
        body: JSON.
        empty: Stands in for a wrong item, with the session id that was sent.

    Returns:
        The form, and the errors by the index of their item.

    Raises:
        TooLarge, Malformed, InvalidInput: The body is wrong outside of its items; see `parsed`.
    """
    try:
        return parsed(form, body), {}
    except InvalidInput as error:
        if beside := _beside_items(error.__cause__):
            raise InvalidInput.of_fields(beside) from None
        document = _document(body)
        if document is None:
            raise
        items = document.pop("items")
        around = parsed(form, orjson.dumps({**document, "items": [_empty(None, empty)]}))
        forms, wrong = _item_forms(item_form, items, empty)
        if not wrong:
            raise
    return around.model_copy(update={"items": forms}), wrong


def _beside_items(mistakes: BaseException | None) -> list[ErrorDetails]:
    """Return the errors outside of single items, which refuse the whole body. Empty if there are too many errors."""
    if not isinstance(mistakes, ValidationError) or mistakes.error_count() > MAX_MISTAKES:
        return []
    errors = mistakes.errors(include_url=False, include_context=False, include_input=False)
    return [each for each in errors if len(each["loc"]) == 1 or each["loc"][:1] != ("items",)]


def _document(body: bytes) -> dict[str, Any] | None:
    """Return a body as a document if its items can be checked one by one, else None."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:  # NaN, which pydantic accepts
        return None
    items = document.get("items") if isinstance(document, dict) else None
    return document if isinstance(items, list) and len(items) <= MAX_ITEMS else None


def _item_forms(
    item_form: type[BaseModel], items: list[Any], empty: Mapping[str, Any]
) -> tuple[list[BaseModel], dict[int, InvalidInput]]:
    forms, wrong = [], {}
    for index, item in enumerate(items):
        try:
            forms.append(item_form.model_validate(item))
        except ValidationError as error:
            wrong[index] = InvalidInput.of(error)
            forms.append(item_form.model_validate(_empty(item, empty)))
    return forms, wrong


def _empty(item: object, empty: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands in for a wrong item."""
    session_id = item.get("session_id") if isinstance(item, dict) else None
    return {**empty, "session_id": session_id if isinstance(session_id, str) else ""}
