"""Exactly once: whatever a network does and whoever races, a named step is taken once and answered for ever."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.asking import Json, ask, events, http_client, open_session, step
from tests.e2e.proxy import Fate, Proxy
from tests.e2e.server import Server
from tests.e2e.serving import serving
from tests.e2e.stream import open_stream
from tests.e2e.surfaces import Logits, whole

pytestmark = pytest.mark.e2e
ROUNDS = 12
MAX_TRIES = 50
SEQUENCE = np.random.default_rng(3).integers(0, 1000, 12).tolist()
LONG: Json = {"generate": {"max_tokens": 3000, "temperature": 0.9}}
SHORT: Json = {"generate": {"max_tokens": 40}}


def persistent_step(client: httpx.Client, session_id: str, number: int, inputs: Json) -> httpx.Response:
    """Ask for a step until it is answered, as a client that names it may."""
    body = {"step": number, "inputs": inputs, "return": "logits"}
    for _ in range(MAX_TRIES):
        try:
            return client.post(f"/sessions/{session_id}/steps", json=body, headers={"Connection": "close"})
        except httpx.TransportError:
            continue
    raise TimeoutError(f"step {number} was not answered in {MAX_TRIES} tries")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fates=st.lists(st.sampled_from(Fate), min_size=5, max_size=25))
def test_a_network_that_loses_repeats_and_delays_changes_no_bit(
    server: Server, client: httpx.Client, fates: list[Fate]
) -> None:
    session_id = open_session(client, "sentiment")
    left: Iterator[Fate] = iter(fates)
    answers: list[Logits] = []
    with (
        serving(Proxy(server.fast_port, lambda: next(left, Fate.DELIVERED))) as proxy,
        http_client(proxy.url) as far,
    ):
        for number, token in enumerate(SEQUENCE):
            response = persistent_step(far, session_id, number, {"ids": [token]})
            assert response.status_code == 200, response.text
            assert response.json()["step"] == number + 1
            answers.append(np.array(response.json()["outputs"]["logits"], np.float32))
        assert len(proxy.fates) >= len(SEQUENCE)
    assert client.get(f"/sessions/{session_id}").json()["step"] == len(SEQUENCE)
    assert np.concatenate(answers).tobytes() == whole(client, "sentiment", SEQUENCE).tobytes()


def race(clients: Sequence[httpx.Client], path: str, bodies: Sequence[Json], **options: Json) -> list[httpx.Response]:
    """What each client is answered whose request starts at the same moment."""
    barrier = threading.Barrier(len(clients))

    def run(client: httpx.Client, body: Json) -> httpx.Response:
        barrier.wait()
        return client.post(path, json=body, **options)

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(run, clients, bodies))


@pytest.mark.parametrize("inputs", [{"ids": [7]}, {"text": "so good"}])
def test_the_loser_of_a_race_with_the_same_input_has_the_winners_answer(pair: list[httpx.Client], inputs: Json) -> None:
    session_id = open_session(pair[0], "sentiment")
    for number in range(ROUNDS):
        body = {"step": number, "inputs": inputs}
        first, second = race(pair, f"/sessions/{session_id}/steps", [body, body])
        assert (first.status_code, second.status_code) == (200, 200)
        assert first.content == second.content
        assert first.json()["step"] == number + 1


def test_the_loser_of_a_race_with_another_input_is_told_of_the_conflict(pair: list[httpx.Client]) -> None:
    session_id = open_session(pair[0], "sentiment")
    taken: list[int] = []
    logits: list[float] = []
    for number in range(ROUNDS):
        bodies: list[Json] = [
            {"step": number, "inputs": {"ids": [token]}, "return": "logits"} for token in (2 * number, 2 * number + 1)
        ]
        answers = race(pair, f"/sessions/{session_id}/steps", bodies)
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        winner = next(n for n in range(2) if answers[n].status_code == 200)
        assert answers[1 - winner].json()["expected_step"] == number + 1
        taken.append(2 * number + winner)
        logits += answers[winner].json()["outputs"]["logits"]
    assert np.array(logits, np.float32).tobytes() == whole(pair[1], "sentiment", taken).tobytes()


def test_unnamed_steps_of_two_writers_are_all_taken_one_after_the_other(pair: list[httpx.Client]) -> None:
    session_id = open_session(pair[0], "sentiment")
    bodies: list[Json] = [{"inputs": {"ids": [5]}}] * 2
    steps = [
        answer.json()["step"] for _ in range(ROUNDS) for answer in race(pair, f"/sessions/{session_id}/steps", bodies)
    ]
    assert sorted(steps) == list(range(1, 2 * ROUNDS + 1))


def streamed(client: httpx.Client, session_id: str, number: int, inputs: Json) -> tuple[str, Json]:
    """The text of a streamed step and its final event."""
    body = {"step": number, "inputs": inputs, "stream": True}
    with client.stream("POST", f"/sessions/{session_id}/steps", json=body) as response:
        told = list(events(response.iter_lines()))
    assert [name for name, _ in told] == ["text"] * (len(told) - 1) + ["done"]
    return "".join(data["text"] for _, data in told[:-1]), told[-1][1]


@pytest.mark.parametrize("port", [0, 1])
def test_a_stream_cut_before_its_final_event_commits_nothing_and_begins_again_with_the_same_text(
    server: Server, client: httpx.Client, port: int
) -> None:
    session_id = open_session(client, "generation")
    body = {"step": 0, "inputs": LONG, "stream": True}
    with (
        http_client((server.url, server.fast_url)[port]) as leaving,
        leaving.stream("POST", f"/sessions/{session_id}/steps", json=body) as response,
    ):
        told = events(response.iter_lines())
        beginning = "".join(next(told)[1]["text"] for _ in range(3))
    assert client.get(f"/sessions/{session_id}").json()["step"] == 0
    text, done = streamed(client, session_id, 0, LONG)
    assert text.startswith(beginning)
    assert (done["step"], done["outputs"]["text"]) == (1, text)


def test_a_streamed_step_is_told_again_after_its_final_event_with_the_same_bits(pair: list[httpx.Client]) -> None:
    session_id = open_session(pair[0], "generation")
    first = streamed(pair[0], session_id, 0, SHORT)
    assert streamed(pair[1], session_id, 0, SHORT) == first
    unstreamed = ask(pair[1], f"/sessions/{session_id}/steps", {"step": 0, "inputs": SHORT})
    assert unstreamed == first[1]
    assert pair[0].get(f"/sessions/{session_id}").json()["step"] == 1


def test_a_stream_whose_client_read_nothing_is_told_again(server: Server, client: httpx.Client) -> None:
    session_id = open_session(client, "generation")
    fates = iter([Fate.ANSWER_LOST, Fate.ANSWER_CUT])
    with serving(Proxy(server.fast_port, lambda: next(fates, Fate.DELIVERED))) as proxy, http_client(proxy.url) as far:
        body = {"step": 0, "inputs": SHORT, "stream": True}
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                far.post(f"/sessions/{session_id}/steps", json=body, headers={"Connection": "close"})
    assert client.get(f"/sessions/{session_id}").json()["step"] == 1
    text, done = streamed(client, session_id, 0, SHORT)
    assert done["outputs"]["text"] == text


@pytest.mark.parametrize("inputs", [{"text": "a"}, {"ids": [5]}, {"text": "a", "generate": None}])
def test_only_a_generated_text_is_streamed_be_the_step_new_or_taken_already(client: httpx.Client, inputs: Json) -> None:
    session_id = open_session(client, "generation")
    path, fed = f"/sessions/{session_id}/steps", {"step": 0, "inputs": inputs}
    assert client.post(path, json={**fed, "stream": True}).status_code == 422
    assert client.get(f"/sessions/{session_id}").json()["step"] == 0
    assert client.post(path, json=fed).status_code == 200
    assert client.post(path, json={**fed, "stream": True}).status_code == 422


def test_a_text_to_read_is_not_left_out_of_a_stream(client: httpx.Client) -> None:
    session_id = open_session(client, "generation")
    body = {"inputs": {"text": "a", **SHORT}, "stream": True}
    assert client.post(f"/sessions/{session_id}/steps", json=body).status_code == 422
    assert client.get(f"/sessions/{session_id}").json()["step"] == 0


def test_a_message_whose_connection_is_cut_is_answered_on_the_next(server: Server, client: httpx.Client) -> None:
    session_id = open_session(client, "sentiment")
    for number, token in enumerate(SEQUENCE):
        item: Json = {"step": number, "return": "logits"}
        with open_stream(server.stream_url) as stream:
            stream.send(session_id, {"ids": [token]}, **item)
        with open_stream(server.stream_url) as stream:
            answer = stream.ask(session_id, {"ids": [token]}, **item)
            assert (answer["status"], answer["step"]) == (200, number + 1)
    last = np.array(answer["outputs"]["logits"], np.float32)
    assert last.tobytes() == whole(client, "sentiment", SEQUENCE)[-1:].tobytes()


def create(client: httpx.Client, key: str) -> httpx.Response:
    return client.post("/sessions", json={"model": "sentiment"}, headers={"Idempotency-Key": key})


def fork(client: httpx.Client, key: str) -> httpx.Response:
    return client.post(f"/sessions/{ORIGIN[0]}/fork", json={}, headers={"Idempotency-Key": key})


def take_in(client: httpx.Client, key: str) -> httpx.Response:
    headers = {"Idempotency-Key": key, "Content-Type": "application/octet-stream"}
    return client.post("/sessions/import", content=ORIGIN[1], headers=headers)


ORIGIN: list[str | bytes] = []
Opening = Callable[[httpx.Client, str], httpx.Response]
openings = pytest.mark.parametrize("opening", [create, fork, take_in])


@pytest.fixture(scope="module", autouse=True)
def _origin(client: httpx.Client) -> None:
    session_id = open_session(client, "sentiment")
    step(client, session_id, {"text": "so far "})
    ORIGIN[:] = [session_id, client.get(f"/sessions/{session_id}/state").content]


@openings
def test_a_key_opens_one_session_however_often_and_whoever_is_asked(pair: list[httpx.Client], opening: Opening) -> None:
    for _ in range(ROUNDS):
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(opening, pair, [str(uuid.uuid4())] * 2))
        assert {answer.status_code for answer in answers} == {201}, answers[0].text
        assert len({answer.json()["session_id"] for answer in answers}) == 1


@openings
def test_a_key_still_finds_its_session_after_its_steps(pair: list[httpx.Client], opening: Opening) -> None:
    key = str(uuid.uuid4())
    opened = opening(pair[0], key).json()
    step(pair[1], opened["session_id"], {"ids": [5]})
    again = opening(pair[1], key)
    assert (again.status_code, again.json()["session_id"]) == (201, opened["session_id"])
    assert again.json()["step"] == opened["step"] + 1


def test_a_fork_is_found_again_after_its_origin_went_on_and_after_it_ended(client: httpx.Client) -> None:
    session_id = open_session(client, "sentiment")
    step(client, session_id, {"ids": [5]})
    path, body = f"/sessions/{session_id}/fork", {"step": 1}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    forked = client.post(path, json=body, headers=headers).json()
    step(client, session_id, {"ids": [6]})
    assert client.post(path, json=body, headers=headers).json() == forked
    assert client.post(path, json=body).status_code == 409
    client.delete(f"/sessions/{session_id}")
    assert client.post(path, json=body, headers=headers).json() == forked
    assert client.post(path, json=body).status_code == 410


def test_a_key_of_another_request_is_refused(client: httpx.Client) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    assert client.post("/sessions", json={"model": "sentiment"}, headers=key).status_code == 201
    for path, body in [("/sessions", {"model": "generation"}), (f"/sessions/{ORIGIN[0]}/fork", {})]:
        refused = client.post(path, json=body, headers=key)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:unrolled:problem:idempotency-mismatch")
