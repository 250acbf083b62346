"""Digests of inputs: a session's record keeps one, and a retry after an upgrade must find the same."""

import numpy as np

from service.record.digest import inputs_digest, tensors_digest, tensors_digests

IDS = np.array([[3, 7], [4, 8]], dtype=np.int64)


def test_the_order_of_an_inputs_fields_changes_nothing() -> None:
    assert inputs_digest({"text": "a", "seed": 1}) == inputs_digest({"seed": 1, "text": "a"})


def test_digests_are_those_of_earlier_releases() -> None:
    assert inputs_digest({"seed": 1, "text": "a"}).hex() == "7206f10880bc522dc7b35024b84838e0"
    assert tensors_digest(IDS[0], "argmax").hex() == "e5a833521b9763b1c1d7ee233ff39f9e"


def test_what_is_to_be_returned_is_a_part_of_the_input() -> None:
    assert tensors_digest(IDS[0], "argmax") != tensors_digest(IDS[0], "none")


def test_the_rows_of_many_inputs_have_the_digests_of_each_alone() -> None:
    assert tensors_digests(IDS, "argmax") == [tensors_digest(row, "argmax") for row in IDS]
