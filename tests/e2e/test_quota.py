"""The quota of sessions by owner, in the real service: on both ports, whichever worker is asked."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.asking import http_client, open_session, step
from tests.e2e.conftest import SHARED
from tests.e2e.server import Server
from tests.e2e.workers import client_of_each
from tests.waiting import until

pytestmark = pytest.mark.e2e
QUOTA = 2
EXPIRY_SECONDS = 20

Opening = Callable[[httpx.Client, str], httpx.Response]
"""Asks for one more session, given one that lives."""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, keys: Path, tokens: dict[str, str]) -> Iterator[Server]:
    """A service that lets each owner have few sessions."""
    assert tokens
    settings = {**SHARED, "UNROLLED_API_KEYS": str(keys), "UNROLLED_MAX_SESSIONS_PER_OWNER": str(QUOTA)}
    with Server(tmp_path_factory.mktemp("home"), settings=settings) as running:
        yield running


@pytest.fixture(params=["url", "fast_url"])
def url(limited: Server, request: pytest.FixtureRequest) -> str:
    """One of the two ports."""
    address: str = getattr(limited, request.param)
    return address


@pytest.fixture
def ann(limited: Server, url: str, tokens: dict[str, str]) -> Iterator[list[httpx.Client]]:
    """Ann's clients, one on each worker."""
    with client_of_each(limited, url) as clients:
        for client in clients.values():
            client.headers.update(bearer(tokens["ann"]))
        workers = list(clients.values())
        yield workers
        end_all(workers[0])


@pytest.fixture
def bob(url: str, tokens: dict[str, str]) -> Iterator[httpx.Client]:
    with http_client(url, headers=bearer(tokens["bob"])) as client:
        yield client
        end_all(client)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def end_all(client: httpx.Client) -> None:
    """End all sessions of a client's owner."""
    for session in client.get("/sessions").json()["sessions"]:
        assert client.delete(f"/sessions/{session['session_id']}").status_code == 204


def create(client: httpx.Client, _: str = "") -> httpx.Response:
    return client.post("/sessions", json={"model": "sentiment"})


def fork(client: httpx.Client, session_id: str) -> httpx.Response:
    return client.post(f"/sessions/{session_id}/fork", json={})


def take_in(client: httpx.Client, session_id: str) -> httpx.Response:
    blob = client.get(f"/sessions/{session_id}/state").content
    return client.post("/sessions/import", content=blob, headers={"Content-Type": "application/octet-stream"})


@pytest.mark.parametrize("opening", [create, fork, take_in])
def test_who_has_as_many_sessions_as_one_may_is_refused_another_until_one_ends(
    ann: list[httpx.Client], bob: httpx.Client, opening: Opening
) -> None:
    of_bob = open_session(bob, "sentiment")
    ended, held = (open_session(worker, "sentiment") for worker in ann)
    for worker in ann:
        refused = opening(worker, held)
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
        problem = refused.json()
        assert (problem["status"], problem["type"]) == (429, "urn:unrolled:problem:session-quota")
        assert problem["detail"] == f"you have {QUOTA} of {QUOTA} sessions; end some"
    assert opening(bob, of_bob).status_code == 201
    assert ann[1].delete(f"/sessions/{ended}").status_code == 204
    assert opening(ann[0], held).status_code == 201
    assert opening(ann[1], held).status_code == 429
    for client, session_id in ((ann[0], held), (bob, of_bob)):
        step(client, session_id, {"text": "a"})


def test_sessions_that_have_expired_make_room_at_once(ann: list[httpx.Client]) -> None:
    for worker in ann:
        assert worker.post("/sessions", json={"model": "sentiment", "ttl_seconds": 1}).status_code == 201
    until(lambda: create(ann[0]).status_code == 201, EXPIRY_SECONDS, "they have expired")
