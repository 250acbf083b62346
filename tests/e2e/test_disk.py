"""What a disk does: it fills up, and it damages what was written."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.stores.limits import Limits
from service.stores.lmdb.rows import key_of
from service.stores.lmdb.store import LmdbStore
from tests.e2e.asking import Json, ask, http_client, open_session
from tests.e2e.server import Server
from tests.e2e.stream import open_stream
from tests.e2e.surfaces import over_http, whole
from tests.e2e.workers import client_of_each
from tests.fakes.disk import small_disk
from tests.waiting import until

pytestmark = pytest.mark.e2e
IDS = np.random.default_rng(8).integers(0, 65, 20).tolist()
MAX_SESSIONS = 3000
RECOVERY_SECONDS = 30


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four MiB."""
    with small_disk(tmp_path, mebibytes=4) as mounted:
        yield mounted


def test_a_full_disk_refuses_harms_nobody_and_is_forgotten_once_there_is_room(
    disk: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(2 * 2**20))
    settings = {"UNROLLED_WORKERS": "2", "UNROLLED_STORE": f"lmdb://{disk}/sessions"}
    with (
        Server(tmp_path_factory.mktemp("home"), settings=settings) as server,
        client_of_each(server) as clients,
        http_client(server.url) as client,
    ):
        pair = list(clients.values())
        processes = [process.pid for process in server.processes()]
        expected = whole(pair[0], "generation", IDS)
        early = [open_session(pair[n % 2], "generation") for n in range(4)]
        for session_id in early:
            over_http(pair[0], session_id, IDS[:10])
        opened = []
        for n in range(MAX_SESSIONS):
            refused = pair[n % 2].post("/sessions", json={"model": "generation"})
            if not refused.is_success:
                break
            opened.append(refused.json()["session_id"])
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:unrolled:problem:store-unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        for worker in pair:
            assert worker.get(f"/sessions/{early[0]}").json()["step"] == 1
            assert worker.get("/readyz").is_success
        assert client.post("/sentiment", json={"text": "fine"}).is_success
        # Sessions go on and end, and the room of those that have ended is taken by others.
        for n in range(20):
            session_id = opened[-1 - n]
            over_http(pair[n % 2], session_id, IDS[:2])
            assert pair[n % 2].delete(f"/sessions/{session_id}").is_success
        until(lambda: pair[1].post("/sessions", json={"model": "generation"}).is_success, 10, "there is room again")

        ballast.unlink()
        for n, session_id in enumerate(early):
            body: Json = {"step": 1, "inputs": {"ids": IDS[10:]}, "return": "none"}
            path = f"/sessions/{session_id}/steps"
            until(lambda: pair[n % 2].post(path, json=body).is_success, RECOVERY_SECONDS, "steps go on")  # noqa: B023
            assert (
                over_http(pair[0], session_id, IDS[:1]).tobytes()
                == whole(pair[1], "generation", [*IDS, IDS[0]])[-1:].tobytes()
            )
        assert open_session(pair[1], "generation")
        assert whole(pair[0], "generation", IDS).tobytes() == expected.tobytes()
        assert [process.pid for process in server.processes()] == processes


def damage(directory: Path, session_id: str) -> None:
    """Alter one byte of a session's record, as a failing disk would."""

    async def alter() -> None:
        store = LmdbStore(directory, Limits())
        opened, key = store._open(), key_of(session_id)
        with opened.environment.begin(write=True) as txn:
            content = bytearray(txn.get(key, db=opened.tables.records) or b"")
            content[len(content) // 2] ^= 1
            txn.put(key, bytes(content), db=opened.tables.records)
        await store.close()

    asyncio.run(alter())


def test_a_damaged_record_is_an_error_of_its_own_session_only(server: Server, pair: list[httpx.Client]) -> None:
    sessions = [open_session(pair[0], "sentiment") for _ in range(3)]
    for session_id in sessions:
        over_http(pair[0], session_id, IDS[:10])
    damaged = sessions[1]
    damage(server.home / "sessions", damaged)
    path, inputs = f"/sessions/{damaged}", {"ids": [1]}
    for worker in pair:
        for refused in (
            worker.get(path),
            worker.post(f"{path}/steps", json={"inputs": inputs}),
            worker.post(f"{path}/fork", json={}),
            worker.get(f"{path}/state"),
        ):
            assert (refused.status_code, refused.json()["type"]) == (500, "urn:unrolled:problem:session-damaged")
        items = [{"session_id": each, "inputs": inputs} for each in sessions]
        answers = ask(worker, "/steps", {"items": items})["items"]
        assert [answer["status"] for answer in answers] == [200, 500, 200]
    with open_stream(server.stream_url) as stream:
        assert stream.ask(damaged, inputs)["status"] == 500
        assert stream.ask(sessions[0], inputs)["status"] == 200
    whole_again = whole(pair[0], "sentiment", [*IDS[:10], 1, 1, 5])[-1:]
    assert over_http(pair[1], sessions[2], [5]).tobytes() == whole_again.tobytes()
