"""Sessions on a real Redis server: it is killed and comes back, and the service stays as it is."""

from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.e2e.asking import ask, http_client, open_session
from tests.e2e.server import Server
from tests.e2e.stream import open_stream
from tests.e2e.surfaces import over_http, whole
from tests.e2e.workers import client_of_each
from tests.redis_server import NEEDS_REDIS, RedisServer
from tests.waiting import until

pytestmark = [pytest.mark.e2e, NEEDS_REDIS]
RECOVERY_SECONDS = 60
UNAVAILABLE = "urn:unrolled:problem:store-unavailable"


@pytest.fixture(scope="module")
def served(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"UNROLLED_WORKERS": "2", "UNROLLED_STORE": redis.url}
    with Server(tmp_path_factory.mktemp("home"), settings=settings) as running:
        yield running


def test_a_killed_redis_is_a_503_and_nobody_is_harmed_when_it_is_back(redis: RedisServer, served: Server) -> None:
    ids = np.random.default_rng(6).integers(0, 65, 30).tolist()
    processes = [process.pid for process in served.processes()]
    with (
        client_of_each(served) as clients,
        open_stream(served.stream_url) as stream,
        http_client(served.url) as client,
    ):
        pair = list(clients.values())
        expected = whole(pair[0], "generation", ids)
        sessions = [open_session(pair[n % 2], "generation") for n in range(6)]
        for session_id in sessions:
            assert over_http(pair[1], session_id, ids[:10], step=0).tobytes() == expected[:10].tobytes()
        redis.kill()
        for worker in pair:
            path = f"/sessions/{sessions[0]}"
            for refused in (
                worker.post(f"{path}/steps", json={"step": 1, "inputs": {"ids": ids[10:20]}}),
                worker.post("/sessions", json={"model": "generation"}),
                worker.get(path),
                worker.get("/sessions"),
                worker.delete(path),
                worker.put(f"{path}/checkpoints/a"),
            ):
                assert (refused.status_code, refused.json()["type"]) == (503, UNAVAILABLE), refused.text
                assert int(refused.headers["retry-after"]) >= 1
            item = {"session_id": sessions[0], "step": 1, "inputs": {"ids": ids[10:20]}}
            answer = ask(worker, "/steps", {"items": [item]})["items"][0]
            assert (answer["status"], answer["problem"]["type"]) == (503, UNAVAILABLE)
        answer = stream.ask(sessions[0], {"ids": ids[10:20]}, step=1)
        assert (answer["status"], answer["problem"]["type"]) == (503, UNAVAILABLE)
        assert client.post("/sentiment", json={"text": "fine"}).is_success

        redis.start()
        for n, session_id in enumerate(sessions):
            worker = pair[n % 2]
            path = f"/sessions/{session_id}"
            until(lambda: worker.get(path).is_success, RECOVERY_SECONDS, "redis is reached again")  # noqa: B023
            assert worker.get(path).json()["step"] == 1
            # The last answer is still there, and what follows has the bits of a session that was never interrupted.
            assert over_http(worker, session_id, ids[:10], step=0).tobytes() == expected[:10].tobytes()
            assert over_http(pair[1 - n % 2], session_id, ids[10:], step=1).tobytes() == expected[10:].tobytes()
        assert stream.ask(sessions[0], {"ids": [1]})["status"] == 200
    assert [process.pid for process in served.processes()] == processes
    assert "Traceback" not in served.log.read_text()


def test_a_killed_service_finds_every_session_in_redis(served: Server) -> None:
    ids = np.random.default_rng(7).integers(0, 65, 20).tolist()
    with http_client(served.fast_url) as client:
        session_id = open_session(client, "sentiment")
        over_http(client, session_id, ids[:8])
    served.kill()
    served.start()
    with http_client(served.fast_url) as client:
        assert over_http(client, session_id, ids[8:]).tobytes() == whole(client, "sentiment", ids)[8:].tobytes()


def test_without_an_export_key_nothing_leaves_or_arrives(served: Server, client: httpx.Client) -> None:
    blob = client.get(f"/sessions/{open_session(client, 'sentiment')}/state").content
    headers = {"Content-Type": "application/octet-stream"}
    with http_client(served.url) as asked:
        own = open_session(asked, "sentiment")
        for response in (
            asked.get(f"/sessions/{own}/state"),
            asked.post("/sessions/import", content=blob, headers=headers),
        ):
            assert (response.status_code, response.json()["type"]) == (403, "urn:unrolled:problem:export-disabled")


def test_a_worker_that_is_replaced_while_redis_is_down_says_so_in_a_line_and_starts_once_it_is_back(
    redis: RedisServer, served: Server
) -> None:
    redis.kill()
    served.workers()[0].kill()
    line = "this worker cannot start: the session store on Redis at"
    until(lambda: line in served.log.read_text(), RECOVERY_SECONDS, "a new worker finds no Redis")
    redis.start()
    until(served.is_whole, RECOVERY_SECONDS, "all workers are there")
    assert "Traceback" not in served.log.read_text()
