"""One machine takes over from another on the same Redis, as in a rolling update: sessions go on, bit for bit."""

import os
import shutil
import signal
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.asking import ask, http_client, open_session
from tests.e2e.bundles import another_version, import_into
from tests.e2e.server import STOP_SECONDS, Server, is_ready
from tests.e2e.surfaces import over_http, whole
from tests.redis_server import NEEDS_REDIS, RedisServer
from tests.waiting import until

pytestmark = [pytest.mark.e2e, NEEDS_REDIS]
NUM_SESSIONS = 4
DRAIN_SECONDS = 6


def test_sessions_go_on_where_a_machine_that_drains_has_left_them(
    redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"UNROLLED_STORE": redis.url, "UNROLLED_DRAIN_SECONDS": str(DRAIN_SECONDS)}
    ids = np.random.default_rng(8).integers(0, 65, 30).tolist()
    with Server(tmp_path_factory.mktemp("old"), settings=settings) as old:
        with http_client(old.fast_url) as client:
            sessions = [open_session(client, "generation") for _ in range(NUM_SESSIONS)]
            first = [over_http(client, each, ids[:10], step=0).tobytes() for each in sessions]
        with (
            Server(tmp_path_factory.mktemp("new"), settings=settings) as new,
            http_client(new.fast_url) as client,
            http_client(old.fast_url) as leaving,
        ):
            over_http(leaving, sessions[0], ids[10:20], step=1)
            os.killpg(old.process.pid, signal.SIGTERM)
            until(lambda: not is_ready(old.fast_port), DRAIN_SECONDS, "the old one says that it is not ready")
            over_http(leaving, sessions[1], ids[10:20], step=1)
            over_http(client, sessions[2], ids[10:20], step=1)
            assert old.process.wait(timeout=STOP_SECONDS) == 0
            expected = whole(client, "generation", ids)
            assert first == [expected[:10].tobytes()] * NUM_SESSIONS
            for each in sessions:
                # The first three took this step on either machine: it is answered again, and not taken twice.
                assert over_http(client, each, ids[10:20], step=1).tobytes() == expected[10:20].tobytes()
                assert over_http(client, each, ids[20:], step=2).tobytes() == expected[20:].tobytes()


def test_a_model_changes_without_a_refused_step_in_the_two_steps_of_docs_kubernetes(
    redis: RedisServer, small_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old_home = tmp_path_factory.mktemp("old")
    former = import_into(old_home, another_version(tmp_path_factory.mktemp("bundles") / "former", "former"))
    name, version = former.split(":")
    homes = [shutil.copytree(small_home, tmp_path_factory.mktemp("new"), dirs_exist_ok=True) for _ in range(2)]
    for home in homes:  # as if that one directory were mounted
        shutil.copytree(old_home / "models" / name / version, home / "models" / name / version)
    settings = {"UNROLLED_STORE": redis.url, "UNROLLED_BUNDLES": former}
    ids = np.random.default_rng(8).integers(0, 1000, 9).tolist()
    with Server(homes[0], settings=settings) as first, http_client(first.fast_url) as one:
        with Server(old_home, settings=settings) as old, http_client(old.fast_url) as leaving:
            sessions = [open_session(client, name) for client in (one, leaving)]
            for client, session_id in zip((leaving, one), sessions, strict=True):
                over_http(client, session_id, ids[:3], step=0)
        with Server(homes[1], settings=settings) as second, http_client(second.fast_url) as other:
            loaded = ask(one, f"/v2/repository/models/{name}/load", {})
            for client, elsewhere in ((one, other), (other, one)):
                sessions.append(open_session(client, name))
                over_http(elsewhere, sessions[-1], ids[:3], step=0)
            bundles = [one.get(f"/sessions/{each}").json()["bundle"] for each in sessions]
            assert bundles[0] == bundles[1] == former != bundles[2] == bundles[3], loaded
            expected = whole(one, name, ids)
            for each in sessions:
                assert over_http(other, each, ids[3:], step=1).tobytes() == expected[3:].tobytes()


def test_a_step_is_refused_by_a_machine_without_its_version_until_that_is_there(
    redis: RedisServer, small_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old_home = tmp_path_factory.mktemp("old")
    former = import_into(old_home, another_version(tmp_path_factory.mktemp("bundles") / "former", "of before"))
    name, version = former.split(":")
    home = shutil.copytree(small_home, tmp_path_factory.mktemp("new"), dirs_exist_ok=True)
    (shipped,) = (f"{name}:{each.name}" for each in (home / "models" / name).iterdir() if each.is_dir())
    settings = [{"UNROLLED_STORE": redis.url, "UNROLLED_BUNDLES": tag} for tag in (former, shipped)]
    with Server(old_home, settings=settings[0]) as old, http_client(old.fast_url) as leaving:
        session_id = open_session(leaving, name)
        with Server(home, settings=settings[1]) as new, http_client(new.fast_url) as client:
            later = open_session(client, name)
            body = {"inputs": {"ids": [1]}, "step": 0}
            for where, each in ((client, session_id), (leaving, later)):
                refused = where.post(f"/sessions/{each}/steps", json=body)
                assert refused.status_code == HTTPStatus.PRECONDITION_FAILED
                assert refused.json()["expected_step"] == 0
            reason = "it is not in the model store. Steps of its live sessions (1 now) are 412"
            assert f"{former} cannot be served: {reason}" in new.log.read_text()
            shutil.copytree(old_home / "models" / name / version, home / "models" / name / version)
            until(
                lambda: client.post(f"/sessions/{session_id}/steps", json=body).is_success,
                STOP_SECONDS,
                "the session goes on once its version is back",
            )
