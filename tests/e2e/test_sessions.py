"""Sessions of the running service, beyond what one model makes of them."""

from collections.abc import Mapping

import httpx
import pytest

from tests.e2e.asking import open_session, step
from tests.e2e.exposition import await_metric, metrics

pytestmark = pytest.mark.e2e


def test_a_client_that_hangs_up_stops_its_work(client: httpx.Client) -> None:
    hung_up = 'rnn_requests_total{code="499",endpoint="/sessions/{id}/steps"}'
    before = metrics(client)
    session_id = open_session(client, "generation")
    text = "a" * 60_000  # two seconds on a fast machine; who has closed its side is answered for a quarter of one
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"/sessions/{session_id}/steps", json={"inputs": {"text": text}}, timeout=0.05)
    await_metric(client, hung_up, before.get(hung_up, 0) + 1)
    assert _num_steps(metrics(client)) - _num_steps(before) < len(text)
    assert client.get(f"/sessions/{session_id}").json()["step"] == 0


def _num_steps(exposed: Mapping[str, float]) -> float:
    """How many items were consumed, of all bundles."""
    return sum(value for name, value in exposed.items() if name.startswith("rnn_steps_total{"))


def test_a_large_answer_is_repeated_too(client: httpx.Client) -> None:
    session_id = open_session(client, "forecasting")
    levels = [level / 20 for level in range(1, 20)]
    body = {"step": 0, "inputs": {"values": {"a": [1, 2.5]}, "horizon": 720, "quantiles": levels}}
    first, again = (client.post(f"/sessions/{session_id}/steps", json=body) for _ in range(2))
    assert len(first.content) > 64 * 1024
    assert (again.status_code, again.content) == (200, first.content)


def test_channels_of_a_session_stay_the_same(client: httpx.Client) -> None:
    session_id = open_session(client, "forecasting")
    step(client, session_id, {"values": {"a": [1, 2], "b": [3, 4]}})
    for values in ({"a": [1]}, {"a": [1], "c": [1]}, {"a": [1], "b": [1], "c": [1]}):
        response = client.post(f"/sessions/{session_id}/steps", json={"inputs": {"values": values}})
        assert response.status_code == 422


def test_steps_are_numbered_conflicts_say_what_is_next_and_ends_are_remembered(client: httpx.Client) -> None:
    session_id = open_session(client, "sentiment")
    path = f"/sessions/{session_id}"
    first = client.post(f"{path}/steps", json={"step": 0, "inputs": {"text": "so "}})
    assert first.json()["step"] == 1
    assert client.post(f"{path}/steps", json={"step": 0, "inputs": {"text": "so "}}).json() == first.json()
    conflict = client.post(f"{path}/steps", json={"step": 0, "inputs": {"text": "other"}})
    assert (conflict.status_code, conflict.json()["expected_step"]) == (409, 1)
    assert client.get(path).json()["step"] == 1
    assert client.delete(path).status_code == 204
    gone = client.get(path)
    assert (gone.status_code, gone.json()["reason"]) == (410, "ended")
