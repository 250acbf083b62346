"""Digests of inputs: a session's record keeps one, and a retry after an upgrade must find the same."""

import numpy as np

from service.forms.generation import CharacterStep
from service.record.digest import inputs_digest, tensors_digest, tensors_digests

IDS = np.array([[3, 7], [4, 8]], dtype=np.int64)


def test_a_digest_is_of_what_was_meant_and_not_of_how_it_was_spelt() -> None:
    assert inputs_digest({"a": 1, "b": "ü"}) == inputs_digest({"b": "\u00fc", "a": 1})
    assert len({inputs_digest({"a": 1}), inputs_digest({"a": 2}), inputs_digest({"b": 1}), inputs_digest({})}) == 4
    assert len(inputs_digest({})) == 16


def test_digests_are_those_of_earlier_releases() -> None:
    assert inputs_digest({"seed": 1, "text": "a"}).hex() == "7206f10880bc522dc7b35024b84838e0"
    assert tensors_digest(IDS[0], "argmax").hex() == "e5a833521b9763b1c1d7ee233ff39f9e"
    step = CharacterStep.model_validate({"text": "a", "generate": {"max_tokens": 5}})
    assert inputs_digest(step.model_dump()).hex().startswith("371dc7c5")


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


def test_the_rows_of_many_inputs_have_the_digests_of_each_alone() -> None:
    assert tensors_digests(IDS, "argmax") == [tensors_digest(row, "argmax") for row in IDS]
