"""Kept inputs, and digests of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.record.digest import inputs_digest, tensors_digest
from service.record.replay import appended, inherited, kept_steps

INPUTS = st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.lists(st.integers(-9, 9)), max_size=3)


@given(st.lists(st.tuples(st.integers(0, 2**40), INPUTS), max_size=5))
def test_kept_inputs_come_back_in_order(steps: list[tuple[int, dict[str, object]]]) -> None:
    kept: bytes | None = b""
    for step, inputs in steps:
        kept = appended(kept, step, inputs, 10_000)
    assert kept is not None
    assert [(kept_step.step, kept_step.inputs) for kept_step in kept_steps(kept)] == steps


def test_inputs_that_outgrow_the_limit_are_kept_no_more() -> None:
    kept = appended(b"", 0, {"text": "abc"}, 100)
    assert kept is not None
    assert appended(kept, 1, {"text": "d"}, 2 * len(kept)) is not None
    assert appended(kept, 1, {"text": "abc"}, 2 * len(kept) - 1) is None
    assert appended(None, 2, {"text": ""}, 10_000) is None


def test_a_fork_inherits_steps_with_the_secret_of_whoever_took_them() -> None:
    of_first = appended(b"", 0, {"text": "a"}, 1000)
    of_second = appended(inherited(of_first, b"1", 1000), 1, {"text": "b"}, 1000)
    of_third = inherited(of_second, b"2", 1000)
    assert of_third is not None
    assert [step.secret for step in kept_steps(of_third)] == [b"1".hex(), b"2".hex()]
    assert inherited(of_third, b"3", len(of_third)) == of_third
    assert inherited(of_third, b"3", len(of_third) - 1) is None
    assert inherited(None, b"3", 1000) is None


def test_a_digest_is_of_what_was_meant_and_not_of_how_it_was_spelt() -> None:
    assert inputs_digest({"a": 1, "b": "ü"}) == inputs_digest({"b": "\u00fc", "a": 1})
    assert len({inputs_digest({"a": 1}), inputs_digest({"a": 2}), inputs_digest({"b": 1}), inputs_digest({})}) == 4
    assert len(inputs_digest({})) == 16


def test_a_digest_of_tensors_tells_values_and_what_is_returned() -> None:
    ids = np.array([1, 2, 3])
    digests = {
        tensors_digest(ids, "logits"),
        tensors_digest(ids, "argmax"),
        tensors_digest(ids[::-1].copy(), "logits"),
        tensors_digest(ids[:2], "logits"),
    }
    assert len(digests) == 4
    assert tensors_digest(ids[:2], "none") == tensors_digest(np.array([1, 2]), "none")
