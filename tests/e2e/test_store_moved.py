"""A store that is moved away while it is served: nobody makes another in its place, and it goes on when it is back."""

from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.asking import http_client
from tests.e2e.server import START_SECONDS, Server
from tests.waiting import until

pytestmark = pytest.mark.e2e
NUM_CONNECTIONS = 20


def test_a_store_that_is_moved_away_is_missed_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    store, elsewhere = tmp_path / "sessions", tmp_path / "elsewhere"
    with Server(tmp_path, settings={"UNROLLED_WORKERS": "2"}) as server:
        with http_client(server.fast_url, timeout=30) as client:
            session = client.post("/sessions", json={"model": "generation"}).json()["session_id"]
            steps = f"/sessions/{session}/steps"
            assert client.post(steps, json={"step": 0, "inputs": {"text": "a"}}).status_code == 200
            store.rename(elsewhere)
            until(lambda: client.get("/readyz").status_code == 503, START_SECONDS, "this worker misses it")
            refused = client.post(steps, json={"step": 1, "inputs": {"text": "b"}})
            assert (refused.status_code, refused.json()["type"]) == (503, "urn:unrolled:problem:store-unavailable")
            assert client.post("/sessions", json={"model": "generation"}).status_code == 503
        server.workers()[0].kill()
        words = "this worker cannot start"
        until(lambda: words in server.log.read_text() or store.exists(), START_SECONDS, "another worker tries to start")
        assert not store.exists()
        elsewhere.rename(store)
        until(server.is_whole, START_SECONDS, "both workers serve the store")
        assert answers(server, steps, session) == {(200, 2): NUM_CONNECTIONS}


def answers(server: Server, steps: str, session: str) -> Counter[tuple[int, int]]:
    """A step that is taken once, and the number that the session then has, over connections to any worker."""
    found: Counter[tuple[int, int]] = Counter()
    for _ in range(NUM_CONNECTIONS):
        with http_client(server.fast_url, timeout=30) as client:
            status = client.post(steps, json={"step": 1, "inputs": {"text": "b"}}).status_code
            found[status, client.get(f"/sessions/{session}").json()["step"]] += 1
    return found
