"""Versions: a new one is taken up by every worker while all go on serving, and no live session leaves its own."""

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.e2e.asking import Json, ask, http_client, open_session
from tests.e2e.bundles import another_version, import_into
from tests.e2e.server import Server
from tests.e2e.surfaces import Logits, over_http, whole
from tests.e2e.workers import client_of_each
from tests.waiting import until

pytestmark = pytest.mark.e2e
TAKEN_UP_SECONDS = 30
IDS = np.random.default_rng(9).integers(0, 1000, 24).tolist()


@pytest.fixture(scope="module")
def following(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of two workers that follows the newest version of a bundle."""
    home = shutil.copytree(small_home, tmp_path_factory.mktemp("home"), dirs_exist_ok=True)
    with Server(home, settings={"UNROLLED_WORKERS": "2", "UNROLLED_BUNDLES": "sentiment:latest"}) as running:
        yield running


def bundle_of(client: httpx.Client, session_id: str) -> str:
    bundle: str = client.get(f"/sessions/{session_id}").json()["bundle"]
    return bundle


def new_bundle(client: httpx.Client) -> str:
    """The version that a new session begins on."""
    return bundle_of(client, open_session(client, "sentiment"))


def loaded(client: httpx.Client) -> set[str]:
    return {f"{entry['name']}:{entry['version']}" for entry in ask(client, "/v2/repository/index", {})}


@contextmanager
def driven(server: Server, expected: Logits) -> Iterator[None]:
    """Three clients that open sessions and drive them to the bits that are expected, again and again."""
    is_over, begun = False, set[httpx.Client]()

    def drive() -> None:
        with http_client(server.fast_url) as own:
            while not is_over:
                assert whole(own, "sentiment", IDS[:3]).tobytes() == expected[:3].tobytes()
                begun.add(own)

    with ThreadPoolExecutor(3) as pool:
        drivers = [pool.submit(drive) for _ in range(3)]
        try:
            until(lambda: len(begun) == 3 or any(each.done() for each in drivers), 60, "all drivers have begun")
            yield
        finally:
            is_over = True
        for each in drivers:
            each.result()


def test_versions_change_under_sessions_that_stay(following: Server, tmp_path: Path) -> None:
    server = following
    with http_client(server.url, timeout=120) as client, client_of_each(server) as workers:
        pair = list(workers.values())
        expected = whole(client, "sentiment", IDS)
        staying, keeping = (
            ask(client, "/sessions", {"model": "sentiment", "keep_inputs": keeps})["session_id"]
            for keeps in (False, True)
        )
        for session_id in (staying, keeping):
            over_http(pair[0], session_id, IDS[:4])
        client.put(f"/sessions/{keeping}/checkpoints/before")
        first = bundle_of(client, staying)
        second = import_into(server.home, another_version(tmp_path / "second", "second"))

        # What the model store has newest is taken up without being asked for, by every worker.
        until(
            lambda: {new_bundle(each) for each in pair} == {second}, TAKEN_UP_SECONDS, "the newest version is current"
        )
        until(lambda: all(loaded(each) == {first, second} for each in pair), TAKEN_UP_SECONDS, "both are loaded")
        assert {bundle_of(each, staying) for each in pair} == {first}
        assert over_http(pair[1], staying, IDS[4:8]).tobytes() == expected[4:8].tobytes()

        # A version that is asked for is answered when every worker has it, and is chosen over the newest.
        for version, tag in ((first, first), (second, second)):
            body: Json = {"parameters": {"version": version.partition(":")[2]}}
            answer = ask(client, "/v2/repository/models/sentiment/load", body)
            assert answer == {"name": "sentiment", "version": tag.partition(":")[2], "state": "READY", "reason": ""}
            assert {new_bundle(each) for each in pair} == {tag}

        third = import_into(server.home, another_version(tmp_path / "third", "third"))
        with driven(server, expected):
            assert ask(client, "/v2/repository/models/sentiment/load", {})["version"] == third.partition(":")[2]
            assert {new_bundle(each) for each in (client, *pair)} == {third}

        moved = ask(client, f"/sessions/{keeping}/migrate", {"step": 2})
        assert moved == ask(client, f"/sessions/{keeping}/migrate", {"step": 2})
        assert bundle_of(pair[1], keeping) == third
        assert over_http(pair[0], keeping, IDS[4:8]).tobytes() == expected[4:8].tobytes()
        refused = client.post(f"/sessions/{staying}/migrate", json={})
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:unrolled:problem:not-migratable")
        assert client.post(f"/sessions/{keeping}/rollback", json={"checkpoint": "before"}).status_code == 412

        unknown = client.post("/v2/repository/models/sentiment/load", json={"parameters": {"version": "0" * 12}})
        assert (unknown.status_code, set(unknown.json())) == (404, {"error"})

    server.kill()
    server.start()
    with http_client(server.url, timeout=120) as client, client_of_each(server) as workers:
        pair = list(workers.values())
        for each in pair:
            assert new_bundle(each) == third
            assert bundle_of(each, staying) == first
            assert first in loaded(each)
        assert over_http(pair[0], staying, IDS[8:16]).tobytes() == expected[8:16].tobytes()
        assert over_http(pair[1], keeping, IDS[8:]).tobytes() == expected[8:].tobytes()


def test_an_older_version_that_was_loaded_outlives_every_worker(following: Server, tmp_path: Path) -> None:
    server = following
    with http_client(server.url, timeout=120) as client:
        older = new_bundle(client)
        newer = import_into(server.home, another_version(tmp_path / "newer", "newer"))
        until(lambda: new_bundle(client) == newer, TAKEN_UP_SECONDS, "the newest version is current")
        body: Json = {"parameters": {"version": older.partition(":")[2]}}
        ask(client, "/v2/repository/models/sentiment/load", body)

    def is_replaced(pid: int) -> bool:
        return server.is_whole() and pid not in {each.pid for each in server.workers()}

    for pid in [worker.pid for worker in server.workers()]:
        os.kill(pid, signal.SIGKILL)
        until(partial(is_replaced, pid), 120, "another worker is in its place")
        with client_of_each(server) as workers:
            assert {new_bundle(each) for each in workers.values()} == {older}
    server.kill()
    server.start()
    assert f"starting on {older}, which was loaded instead of {newer}" in server.log.read_text()
    with client_of_each(server) as workers:
        pair = list(workers.values())
        assert {new_bundle(each) for each in pair} == {older}
        newest = import_into(server.home, another_version(tmp_path / "newest", "newest"))
        until(lambda: {new_bundle(each) for each in pair} == {newest}, TAKEN_UP_SECONDS, "a newer one is current")
