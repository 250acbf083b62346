"""Ends of sessions: told by reason, remembered, counted right whichever worker is asked."""

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.asking import Json, ask, open_session, step
from tests.e2e.conftest import SHARED
from tests.e2e.exposition import await_metric, metrics, settled_metric
from tests.e2e.server import Server
from tests.e2e.stream import open_stream
from tests.e2e.workers import client_of_each
from tests.waiting import until

pytestmark = pytest.mark.e2e
ROOM = 24
EXPIRY_SECONDS = 20
ENDED = 'rnn_sessions_ended_total{{reason="{}"}}'.format


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with room for few sessions."""
    with Server(tmp_path_factory.mktemp("home"), settings={**SHARED, "UNROLLED_MAX_SESSIONS": str(ROOM)}) as running:
        yield running


@pytest.fixture(scope="module")
def workers(small: Server) -> Iterator[list[httpx.Client]]:
    """A client on each of its workers."""
    with client_of_each(small) as clients:
        yield list(clients.values())


def refusals(server: Server, worker: httpx.Client, session_id: str) -> list[tuple[int, str, str]]:
    """What every verb says of a session that is over: status, type, reason."""
    path, inputs = f"/sessions/{session_id}", {"ids": [1]}
    told = [
        worker.get(path),
        worker.post(f"{path}/steps", json={"inputs": inputs}),
        worker.post(f"{path}/steps", json={"inputs": {"text": "a"}}),
        worker.post(f"{path}/fork", json={}),
        worker.post(f"{path}/rollback", json={"checkpoint": "a"}),
        worker.post(f"{path}/migrate", json={}),
        worker.put(f"{path}/checkpoints/a"),
        worker.delete(f"{path}/checkpoints/a"),
        worker.get(f"{path}/state"),
        worker.delete(path),
    ]
    assert {response.headers["content-type"] for response in told} == {"application/problem+json"}
    problems: list[Json] = [response.json() for response in told]
    problems += [
        ask(worker, "/steps", {"items": [{"session_id": session_id, "inputs": inputs}]})["items"][0]["problem"]
    ]
    with open_stream(server.stream_url) as stream:
        problems.append(stream.ask(session_id, inputs)["problem"])
    return [(problem["status"], problem["type"], problem["reason"]) for problem in problems]


def is_gone(reason: str) -> tuple[int, str, str]:
    return 410, "urn:unrolled:problem:session-gone", reason


def test_an_ended_session_says_so_on_every_verb_and_worker(small: Server, workers: list[httpx.Client]) -> None:
    before = settled_metric(workers[0], ENDED("ended"))
    session_id = open_session(workers[0], "sentiment")
    step(workers[0], session_id, {"text": "a"})
    assert workers[1].delete(f"/sessions/{session_id}").status_code == 204
    for worker in workers:
        assert set(refusals(small, worker, session_id)) == {is_gone("ended")}
        await_metric(worker, ENDED("ended"), before + 1)
        assert settled_metric(worker, ENDED("ended")) == before + 1


def test_an_idle_session_expires_once_whoever_finds_it(small: Server, workers: list[httpx.Client]) -> None:
    before = settled_metric(workers[0], ENDED("expired"))
    sessions = [ask(workers[0], "/sessions", {"model": "sentiment", "ttl_seconds": 1})["session_id"] for _ in range(4)]

    def are_gone() -> bool:
        return all(worker.get(f"/sessions/{each}").status_code == 410 for each in sessions for worker in workers)

    until(are_gone, EXPIRY_SECONDS, "the sessions expire")
    for worker in workers:
        assert set(refusals(small, worker, sessions[0])) == {is_gone("expired")}
        await_metric(worker, ENDED("expired"), before + 4)
        assert settled_metric(worker, ENDED("expired")) == before + 4


def test_steps_keep_a_session_from_expiring(workers: list[httpx.Client]) -> None:
    idle, busy = (
        ask(workers[0], "/sessions", {"model": "sentiment", "ttl_seconds": 2})["session_id"] for _ in range(2)
    )

    def idle_is_gone() -> bool:
        step(workers[0], busy, {"ids": [1]})
        return workers[1].get(f"/sessions/{idle}").status_code == 410

    until(idle_is_gone, EXPIRY_SECONDS, "the idle session expires")
    assert workers[1].get(f"/sessions/{busy}").status_code == 200


def test_a_longer_life_than_is_allowed_is_refused(workers: list[httpx.Client]) -> None:
    refused = workers[0].post("/sessions", json={"model": "sentiment", "ttl_seconds": 30 * 86400 + 1})
    assert (refused.status_code, refused.json()["errors"][0]["location"]) == (422, ["ttl_seconds"])


def test_the_least_recently_used_make_room_and_are_told_and_counted(small: Server, workers: list[httpx.Client]) -> None:
    before = metrics(workers[0]).get(ENDED("evicted"), 0)
    sessions = [open_session(workers[n % 2], "sentiment") for n in range(2 * ROOM)]
    states = [workers[0].get(f"/sessions/{each}") for each in sessions]
    evicted = [each for each, state in zip(sessions, states, strict=True) if state.status_code == 410]
    assert {state.status_code for state in states} == {200, 410}
    assert {state.json()["reason"] for state in states if state.status_code == 410} == {"evicted"}
    assert states[-1].status_code == 200
    for worker in workers:
        assert set(refusals(small, worker, evicted[0])) == {is_gone("evicted")}
        await_metric(worker, ENDED("evicted"), before + len(evicted))
        assert metrics(worker)["rnn_sessions_active"] == len(sessions) - len(evicted) <= ROOM


def test_one_more_session_ends_one(workers: list[httpx.Client]) -> None:
    while metrics(workers[0])["rnn_sessions_active"] < ROOM:
        open_session(workers[0], "sentiment")
    open_session(workers[1], "sentiment")
    assert metrics(workers[0])["rnn_sessions_active"] == ROOM


REFUSALS: list[tuple[str, str, Json | None, int, str]] = [
    ("GET", "/sessions/nobody", None, 404, "session-unknown"),
    ("POST", "/sessions/{}/rollback", {"checkpoint": "none"}, 404, "checkpoint-unknown"),
    ("POST", "/sessions/{}/fork", {"checkpoint": "none"}, 404, "checkpoint-unknown"),
    ("POST", "/sessions", {"model": "none"}, 404, "model-unknown"),
    ("POST", "/sessions/{}/steps", {"step": 7, "inputs": {"ids": [1]}}, 409, "step-conflict"),
    ("POST", "/sessions/{}/rollback", {"checkpoint": "none", "step": 7}, 409, "step-conflict"),
    ("PUT", "/sessions/{}/checkpoints/a?step=7", None, 409, "step-conflict"),
    ("POST", "/sessions/{}/fork", {"step": 7}, 409, "step-conflict"),
    ("POST", "/sessions/{}/migrate", {}, 409, "not-migratable"),
    ("POST", "/sessions/{}/migrate", {"bundle": "generation:1"}, 409, "not-migratable"),
    ("POST", "/sessions/{}/migrate", {"bundle": "sentiment:1"}, 412, "version-unknown"),
    ("POST", "/sessions/{}/steps", {"inputs": {"ids": [-1]}}, 422, "invalid-input"),
    ("POST", "/sessions/{}/steps", {"inputs": {"ids": [1]}, "step": -1}, 422, "invalid-input"),
    ("PUT", "/sessions/{}/checkpoints/a?step=x", None, 422, "invalid-input"),
    ("PUT", "/sessions/{}/checkpoints/%C3%BC", None, 422, "invalid-input"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "kind"), REFUSALS)
def test_each_refusal_has_a_type_of_its_own(
    client: httpx.Client, fast: httpx.Client, method: str, path: str, body: Json | None, status: int, kind: str
) -> None:
    session_id = open_session(client, "sentiment")
    for asked in (client, fast):
        refused = asked.request(method, path.format(session_id), json=body)
        problem = refused.json()
        assert (refused.status_code, problem["type"]) == (status, f"urn:unrolled:problem:{kind}"), problem
        assert refused.headers["content-type"] == "application/problem+json"
        assert (problem["status"], bool(problem["title"]), bool(problem["detail"])) == (status, True, True)
        assert problem.get("expected_step") == (0 if kind == "step-conflict" else None)
        assert client.get(f"/sessions/{session_id}").json()["step"] == 0


def test_seventeen_checkpoints_are_one_too_many(client: httpx.Client) -> None:
    path = f"/sessions/{open_session(client, 'sentiment')}"
    assert {client.put(f"{path}/checkpoints/{n}").status_code for n in range(16)} == {200}
    refused = client.put(f"{path}/checkpoints/16")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:unrolled:problem:too-many-checkpoints")
    assert client.put(f"{path}/checkpoints/3").status_code == 200
