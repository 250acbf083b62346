"""WS /stream: many sessions on one connection, in order each, and nobody hurt by who behaves badly."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.asking import Json, open_session, step
from tests.e2e.server import Server
from tests.e2e.silent import SilentClient
from tests.e2e.stream import StreamClient, open_stream
from tests.e2e.surfaces import whole
from tests.fakes.binary import HEAD_LENGTH, binary_form

pytestmark = pytest.mark.e2e
PIPELINED = 600
MAX_MESSAGE_BYTES, FAR_TOO_LARGE_BYTES = 8 * 2**20, 17 * 2**20
# It stalls once its kernel has taken a few megabytes, and is dropped 20 seconds later.
DROPPED_SECONDS = 120
SLOW_SECONDS = 10


def urls(server: Server) -> list[str]:
    return [server.stream_url, f"ws://127.0.0.1:{server.port}/stream"]


@pytest.fixture(params=[0, 1], ids=["fast", "bentoml"])
def stream(server: Server, request: pytest.FixtureRequest) -> Iterator[StreamClient]:
    with open_stream(urls(server)[request.param], max_size=None) as opened:
        yield opened


def test_many_sessions_share_a_connection_and_each_answer_tells_whose_it_is(
    client: httpx.Client, stream: StreamClient
) -> None:
    sequences = np.random.default_rng(5).integers(0, 65, (20, 6)).tolist()
    sessions = [open_session(client, ("sentiment", "generation")[n % 2]) for n in range(20)]
    sent = {
        stream.send(sessions[n], {"ids": [ids[t]]}, step=t, **{"return": "logits"}): (n, t)
        for t in range(6)
        for n, ids in enumerate(sequences)
    }
    answers = [stream.receive() for _ in sent]
    logits: dict[int, list[list[float]]] = {n: [] for n in range(20)}
    for answer in answers:
        n, t = sent[answer["id"]]
        assert (answer["session_id"], answer["status"], answer["step"]) == (sessions[n], 200, t + 1)
        logits[n] += answer["outputs"]["logits"]
    for n, ids in enumerate(sequences):
        expected = whole(client, ("sentiment", "generation")[n % 2], ids)
        assert np.array(logits[n], np.float32).tobytes() == expected.tobytes()


def test_several_in_flight_on_one_session_are_answered_in_their_order(
    client: httpx.Client, stream: StreamClient
) -> None:
    session_id = open_session(client, "sentiment")
    sent = [stream.send(session_id, {"text": "a "} if n % 5 == 0 else {"ids": [n]}) for n in range(200)]
    answers = [stream.receive() for _ in sent]
    assert [answer["id"] for answer in answers] == sent
    assert [answer.get("step") for answer in answers] == list(range(1, 201))


def test_who_sends_faster_than_it_is_answered_loses_nothing(client: httpx.Client, stream: StreamClient) -> None:
    sessions = [open_session(client, "sentiment") for _ in range(4)]
    sent = [stream.send(sessions[n % 4], {"ids": [n]}) for n in range(PIPELINED)]
    answers = [stream.receive() for _ in sent]
    assert sorted(answer["id"] for answer in answers) == sent
    assert {answer["status"] for answer in answers} == {200}


def test_a_refusal_is_an_answer_in_its_place_and_the_next_step_goes_on(
    client: httpx.Client, stream: StreamClient
) -> None:
    session_id = open_session(client, "sentiment")
    stream.send(session_id, {"ids": [1]}, step=0)
    stream.send(session_id, {"ids": [-1]}, step=1)
    stream.send(session_id, {"ids": [2]}, step=7)
    stream.send(session_id, {"ids": [3]}, step=1)
    answers = [stream.receive() for _ in range(4)]
    assert [answer["status"] for answer in answers] == [200, 422, 409, 200]
    assert answers[2]["problem"]["expected_step"] == 1


MALFORMED: list[tuple[str, int]] = [
    ("", 400),
    ("{", 400),
    ("[" * 100_000, 400),
    ("null", 422),
    ("[]", 422),
    ("5", 422),
    ('"text"', 422),
    ("{}", 422),
    ('{"session_id": 5, "inputs": {}}', 422),
    ('{"session_id": "a", "inputs": {"ids": [1]}, "stream": true}', 422),
    ('{"session_id": "a", "inputs": {"ids": [1]}, "nonsense": 1}', 422),
    ('{"session_id": "a", "inputs": {"ids": [1]}}', 404),
    ('{"session_id": "\\ud800", "inputs": {"ids": [1]}}', 400),
    ('{"session_id": "' + "a" * 100_000 + '", "inputs": {"ids": [1]}}', 404),
    ('{"session_id": "\\u0000", "inputs": {"ids": [1]}}', 404),
]


@pytest.mark.parametrize(("text", "status"), MALFORMED, ids=lambda value: str(value)[:40])
def test_a_malformed_text_frame_is_answered(stream: StreamClient, text: str, status: int) -> None:
    stream.connection.send(text)
    answer = stream.receive()
    assert (answer["status"], answer["id"]) == (status, None)
    assert answer["problem"]["status"] == status


def binary_frames() -> list[tuple[bytes, int]]:
    good, length = binary_form([{"session_id": "a"}], np.array([[1]]))
    two_rows, its_length = binary_form([{"session_id": "a"}], np.array([[1], [2]]))
    return [
        (b"", 400),
        (b"\0\0", 400),
        (HEAD_LENGTH.pack(2**32 - 1), 400),
        (HEAD_LENGTH.pack(0), 400),
        (HEAD_LENGTH.pack(4) + b"null", 422),
        (HEAD_LENGTH.pack(length) + good[:-1], 400),
        (HEAD_LENGTH.pack(length) + good + b"\0", 400),
        (HEAD_LENGTH.pack(length - 1) + good, 400),
        (HEAD_LENGTH.pack(its_length) + two_rows, 422),
        (bytes(range(256)) * 4000, 400),
    ]


@pytest.mark.parametrize(("content", "status"), binary_frames(), ids=lambda value: str(value)[:30])
def test_a_malformed_binary_frame_is_answered(stream: StreamClient, content: bytes, status: int) -> None:
    stream.connection.send(content)
    answer = stream.connection.recv(timeout=60)
    assert isinstance(answer, bytes)
    head: Json = json.loads(answer[HEAD_LENGTH.size :])
    assert head["status"] == head["problem"]["status"] == status


def test_a_connection_goes_on_after_malformed_frames(client: httpx.Client, stream: StreamClient) -> None:
    session_id = open_session(client, "sentiment")
    for content in ("{", b"\0"):
        stream.connection.send(content)
        stream.connection.recv(timeout=60)
    assert stream.ask(session_id, {"ids": [1]})["status"] == 200


def test_a_message_over_the_limit_is_refused(client: httpx.Client, stream: StreamClient) -> None:
    session_id = open_session(client, "sentiment")
    refused = json.loads(exchanged(stream, "a" * (MAX_MESSAGE_BYTES + 1)))
    assert (refused["status"], refused["problem"]["type"]) == (413, "urn:unrolled:problem:too-large")
    assert stream.ask(session_id, {"ids": [1]})["status"] == 200


def test_a_frame_that_is_far_too_large_closes_its_own_connection_only(
    server: Server, client: httpx.Client, stream: StreamClient
) -> None:
    session_id = open_session(client, "sentiment")
    with open_stream(server.stream_url) as other:
        with pytest.raises(ConnectionClosed) as closed:
            exchanged(stream, "a" * FAR_TOO_LARGE_BYTES)
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
        assert other.ask(session_id, {"ids": [1]})["status"] == 200


def exchanged(stream: StreamClient, text: str) -> str | bytes:
    """The answer to a frame, if there is one."""
    stream.connection.send(text)
    return stream.connection.recv(timeout=60)


def test_a_large_frame_within_the_limit_is_read(client: httpx.Client, stream: StreamClient) -> None:
    session_id = open_session(client, "sentiment")
    text = "so" + " " * 60_000 + "good"
    answer = stream.ask(session_id, {"text": text})
    assert (answer["status"], answer["outputs"]["label"]) == (200, "positive")


def test_a_ping_is_answered_while_steps_are_under_way(client: httpx.Client, stream: StreamClient) -> None:
    session_id = open_session(client, "generation")
    stream.send(session_id, {"generate": {"max_tokens": 500}})
    assert stream.connection.ping().wait(timeout=60)
    assert stream.receive()["status"] == 200


def test_a_client_that_vanishes_has_its_steps_called_off(server: Server, client: httpx.Client) -> None:
    session_id = open_session(client, "generation")
    with open_stream(server.stream_url) as stream:
        stream.send(session_id, {"generate": {"max_tokens": 4096}}, step=0)
        stream.connection.socket.shutdown(socket.SHUT_RDWR)
    assert step(client, session_id, {"ids": [1]})
    assert client.get(f"/sessions/{session_id}").json()["step"] == 1


def own_bytes(server: Server) -> int:
    """What the workers keep in memory."""
    return sum(worker.memory_info().rss for worker in server.workers())


def test_who_does_not_read_is_dropped_and_nobody_else_notices(
    server: Server, client: httpx.Client, silent: SilentClient
) -> None:
    lively = open_session(client, "sentiment")
    before = own_bytes(server)
    with open_stream(server.stream_url) as other:
        slowest = 0.0
        silent.send()
        while not silent.is_dropped:
            assert time.monotonic() < silent.started + DROPPED_SECONDS
            asked = time.monotonic()
            assert other.ask(lively, {"ids": [1]})["status"] == 200
            slowest = max(slowest, time.monotonic() - asked)
            silent.send()
    assert slowest < SLOW_SECONDS
    assert own_bytes(server) - before < 2**28
