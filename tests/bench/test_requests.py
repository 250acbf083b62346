import json

import numpy as np

from bench.requests import LENGTH_HEADER, binary_steps, json_steps, single_step, stream_step

IDS = np.array([[3, 1, 4], [1, 5, 9]])


def test_the_binary_form_is_json_and_a_blob() -> None:
    body, headers = binary_steps(["a", "b"], IDS, "argmax")
    length = int(headers[LENGTH_HEADER])
    head = json.loads(body[:length])
    assert head["items"] == [{"session_id": "a"}, {"session_id": "b"}]
    assert head["return"] == "argmax"
    (tensor,) = head["inputs"]
    assert tensor["shape"] == [2, 3]
    assert tensor["parameters"]["binary_data_size"] == len(body) - length
    assert (np.frombuffer(body[length:], "<i8").reshape(2, 3) == IDS).all()


def test_the_json_form_has_an_item_for_each_session() -> None:
    first, second = json.loads(json_steps(["a", "b"], IDS, "none"))["items"]
    assert first == {"session_id": "a", "inputs": {"ids": [3, 1, 4]}, "return": "none"}
    assert second["inputs"] == {"ids": [1, 5, 9]}


def test_a_single_step_and_a_message_hold_the_same_inputs() -> None:
    step, message = json.loads(single_step([7])), json.loads(stream_step("a", [7]))
    assert message == {"id": 1, "session_id": "a", **step}
