"""Errors of single items, and bodies that are wrong beside them."""

from typing import Any

import orjson
import pytest

from service.api.steps import item_errors
from service.api.steps.item_errors import parsed_items
from service.errors import InvalidInput
from service.forms.steps import StepItem, StepItems

GOOD: dict[str, Any] = {"session_id": "a", "step": 3, "inputs": {"ids": [1]}, "return": "none"}
WRONG = {"session_id": "b", "inputs": {}, "sted": 1}


def test_a_wrong_item_fails_alone() -> None:
    many, wrong = parsed_items(StepItems, StepItem, orjson.dumps({"items": [GOOD, WRONG, 7]}), {"inputs": {}})
    assert many.items[0] == StepItem.model_validate(GOOD)
    assert [item.session_id for item in many.items] == ["a", "b", ""]
    assert {index: str(error) for index, error in wrong.items()} == {
        1: "sted: there is no such field",
        2: "Input should be an object",
    }


@pytest.mark.parametrize("body", [{"items": [GOOD, WRONG], "more": 1}, {"items": []}, {"inputs": [[]]}, [], 7])
def test_what_is_wrong_beside_the_items_is_not_parsed_again(body: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_errors, "orjson", None)
    with pytest.raises(InvalidInput):
        parsed_items(StepItems, StepItem, orjson.dumps(body), {"inputs": {}})
