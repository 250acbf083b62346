"""What one of many steps is answered."""

import pytest

from service.api.steps.items import item_json
from service.errors import StepConflict
from service.forms.steps import ItemAnswer
from service.steps.turn import Answer, Ask, Turn


@pytest.mark.parametrize("is_numerics_changed", [False, True])
def test_an_answer_has_the_form_that_the_document_tells(is_numerics_changed: bool) -> None:
    turn = Turn(Ask("ann", "a session", 2, {"ids": [1]}), lambda _: None)
    turn.answer = Answer("a session", 3, b'{"argmax":[1]}', is_numerics_changed=is_numerics_changed)
    told = ItemAnswer.model_validate_json(item_json(turn))
    assert (told.status, told.step, told.outputs) == (200, 3, {"argmax": [1]})
    assert told.numerics_changed is is_numerics_changed


def test_a_refusal_has_that_form_too() -> None:
    turn = Turn(Ask("ann", "a session", 2, {"ids": [1]}), lambda _: None)
    turn.error = StepConflict("step 7 is ahead; step 5 is next", 5)
    told = ItemAnswer.model_validate_json(item_json(turn))
    assert (told.status, told.step) == (409, None)
    assert told.problem is not None
    assert told.problem["expected_step"] == 5
