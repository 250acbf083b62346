"""Sessions branch, return and travel: forks, checkpoints, rollbacks, exports to another service, backups."""

import hmac
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.e2e.asking import Json, ask, http_client, open_session, step
from tests.e2e.conftest import EXPORT_KEY
from tests.e2e.server import Server, environment
from tests.e2e.surfaces import over_http, whole
from tests.paths import ROOT
from tests.waiting import until

pytestmark = pytest.mark.e2e
SAMPLED: Json = {"generate": {"max_tokens": 60, "temperature": 0.9}}
HOMEWARD = "application/octet-stream"
ACKNOWLEDGED = 5  # steps of each session before a backup is begun


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another deployment: a store of its own, the same bundles, the same export key."""
    with Server(tmp_path_factory.mktemp("home"), settings={"UNROLLED_EXPORT_KEY": EXPORT_KEY}) as running:
        yield running


@pytest.fixture(scope="module")
def far(elsewhere: Server) -> Iterator[httpx.Client]:
    with http_client(elsewhere.fast_url) as opened:
        yield opened


def take_in(client: httpx.Client, blob: bytes) -> httpx.Response:
    return client.post("/sessions/import", content=blob, headers={"Content-Type": HOMEWARD})


def test_forks_go_on_from_the_same_state_and_leave_their_origin_alone(pair: list[httpx.Client]) -> None:
    ids = np.random.default_rng(1).integers(0, 65, 20).tolist()
    origin = open_session(pair[0], "generation")
    over_http(pair[0], origin, ids[:12])
    forks = [ask(pair[n % 2], f"/sessions/{origin}/fork", {"step": 1}) for n in range(4)]
    assert {fork["step"] for fork in forks} == {1}
    expected = whole(pair[1], "generation", ids)[12:].tobytes()
    for session_id in (origin, *(fork["session_id"] for fork in forks)):
        assert over_http(pair[1], session_id, ids[12:]).tobytes() == expected


def test_what_is_left_to_chance_differs_between_forks_and_not_between_retries(client: httpx.Client) -> None:
    origin = open_session(client, "generation")
    step(client, origin, {"text": "ROMEO:\n"})
    texts = [step(client, origin, SAMPLED)["text"]]
    for _ in range(3):
        fork = ask(client, f"/sessions/{origin}/fork", {})["session_id"]
        body: Json = {"step": 2, "inputs": SAMPLED}
        text, again = (ask(client, f"/sessions/{fork}/steps", body)["outputs"]["text"] for _ in range(2))
        assert text == again
        texts.append(text)
    assert len(set(texts)) == 4


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-www-form-urlencoded"])
def test_a_save_and_a_fork_without_a_body_may_name_any_type(pair: list[httpx.Client], kind: str) -> None:
    """As aiohttp and urllib do."""
    path = f"/sessions/{open_session(pair[0], 'generation')}"
    for client in pair:
        sent: Json = {"content": b"", "headers": {"Content-Type": kind}}
        assert client.put(f"{path}/checkpoints/here", **sent).status_code == 200
        assert client.post(f"{path}/fork", **sent).status_code == 201
        assert client.post("/generate", **sent).status_code == 415
        from_page = {**sent, "headers": {**sent["headers"], "Origin": "https://evil.example"}}
        assert client.post(f"{path}/fork", **from_page).status_code == 403
        in_chunks = {**sent, "content": iter([b"{}"])}
        assert client.post(f"{path}/fork", **in_chunks).status_code == 415


def test_a_rollback_is_a_step_and_what_follows_has_the_bits_of_the_checkpoint(pair: list[httpx.Client]) -> None:
    ids = np.random.default_rng(2).integers(0, 65, 24).tolist()
    session_id = open_session(pair[0], "generation")
    over_http(pair[0], session_id, ids[:8])
    saved = pair[1].put(f"/sessions/{session_id}/checkpoints/here", params={"step": 1}).json()
    assert saved["step"] == 2
    wrong = over_http(pair[0], session_id, ids[::-1])
    back: Json = {"checkpoint": "here", "step": 3}
    first, again = (ask(pair[n], f"/sessions/{session_id}/rollback", back) for n in range(2))
    assert first == again
    assert first["step"] == 4
    assert ask(pair[0], f"/sessions/{session_id}/rollback", {"checkpoint": "here"})["step"] == 5
    expected = whole(pair[1], "generation", ids)[8:]
    assert over_http(pair[1], session_id, ids[8:]).tobytes() == expected.tobytes() != wrong.tobytes()
    conflict = pair[0].post(f"/sessions/{session_id}/rollback", json={**back, "step": 4})
    assert (conflict.status_code, conflict.json()["expected_step"]) == (409, 6)


def test_checkpoints_are_listed_replaced_forgotten_and_forked_from(client: httpx.Client) -> None:
    session_id = open_session(client, "sentiment")
    path = f"/sessions/{session_id}"
    step(client, session_id, {"ids": [1]})
    for name in ("a", "b", "a"):
        client.put(f"{path}/checkpoints/{name}")
        step(client, session_id, {"ids": [2]})
    assert sorted(name.partition("~")[0] for name in client.get(path).json()["checkpoints"]) == ["a", "b"]
    at_a = ask(client, f"{path}/fork", {"checkpoint": "a"})["session_id"]
    expected = whole(client, "sentiment", [1, 2, 2, 9])[-1:]
    assert over_http(client, at_a, [9]).tobytes() == expected.tobytes()
    assert client.delete(f"{path}/checkpoints/a").is_success
    assert client.post(f"{path}/rollback", json={"checkpoint": "a"}).status_code == 404
    assert client.post(f"{path}/rollback", json={"checkpoint": "b"}).is_success


def test_an_exported_session_goes_on_elsewhere_with_the_same_bits_and_back(
    client: httpx.Client, far: httpx.Client
) -> None:
    ids = np.random.default_rng(3).integers(0, 65, 30).tolist()
    session_id = open_session(client, "generation")
    over_http(client, session_id, ids[:10])
    exported = client.get(f"/sessions/{session_id}/state")
    assert exported.headers["content-type"] == "application/vnd.unrolled.session"
    arrived = take_in(far, exported.content)
    assert (arrived.status_code, arrived.json()["step"]) == (201, 1)
    expected = whole(client, "generation", ids)
    away = arrived.json()["session_id"]
    assert away != session_id
    assert far.get(f"/sessions/{session_id}").status_code == 404
    assert over_http(far, away, ids[10:20]).tobytes() == expected[10:20].tobytes()
    home = take_in(client, far.get(f"/sessions/{away}/state").content).json()["session_id"]
    assert over_http(client, home, ids[20:]).tobytes() == expected[20:].tobytes()
    assert over_http(client, session_id, ids[10:]).tobytes() == expected[10:].tobytes()


def test_the_last_step_may_be_asked_for_again_where_a_session_has_arrived(
    client: httpx.Client, far: httpx.Client
) -> None:
    session_id = open_session(client, "forecasting")
    body: Json = {"step": 0, "inputs": {"values": {"ü": [1, 2, 3.5], "b": [4, 5, 6]}, "horizon": 2}}
    answer = ask(client, f"/sessions/{session_id}/steps", body)
    arrived = take_in(far, client.get(f"/sessions/{session_id}/state").content).json()["session_id"]
    assert ask(far, f"/sessions/{arrived}/steps", body)["outputs"] == answer["outputs"]


def signed(content: bytes, key: str = EXPORT_KEY) -> bytes:
    return content + hmac.digest(key.encode(), content, "sha256")


def test_a_changed_foreign_newer_or_cut_export_is_refused_by_its_own_type(client: httpx.Client) -> None:
    session_id = open_session(client, "sentiment")
    step(client, session_id, {"text": "a"})
    blob = client.get(f"/sessions/{session_id}/state").content
    content = blob[:-32]
    newer = content[:8] + struct.pack(">H", 2) + content[10:]
    refused = {
        "changed": blob[:60] + bytes([blob[60] ^ 1]) + blob[61:],
        "foreign": signed(content, "another key, of thirty-two bytes!"),
        "newer": signed(newer),
        "cut": blob[:-1],
        "longer": blob + b"a",
        "other": b"anything else",
        "none": b"",
    }
    found = {name: take_in(client, each) for name, each in refused.items()}
    types = {name: response.json()["type"].rpartition(":")[2] for name, response in found.items()}
    assert types == {
        "changed": "blob-tampered",
        "foreign": "blob-tampered",
        "newer": "blob-format-unknown",
        "cut": "malformed",
        "longer": "malformed",
        "other": "malformed",
        "none": "malformed",
    }
    assert take_in(client, blob).status_code == 201


def test_a_backup_taken_while_serving_holds_every_step_that_was_acknowledged_before_it(
    server: Server, pair: list[httpx.Client], tmp_path: Path
) -> None:
    ids = np.random.default_rng(4).integers(0, 65, 300).tolist()
    sessions = [open_session(pair[n % 2], "sentiment") for n in range(8)]
    acknowledged = dict.fromkeys(sessions, 0)
    is_copied = False

    def drive(session_id: str) -> None:
        with http_client(server.fast_url) as own:
            for number in range(len(ids) - 1):
                over_http(own, session_id, [ids[number]], step=number)
                if not is_copied:
                    acknowledged[session_id] = number + 1

    for session_id in sessions:
        over_http(pair[0], session_id, [ids[0]], step=0)
    with ThreadPoolExecutor(len(sessions)) as pool:
        driven = [pool.submit(drive, session_id) for session_id in sessions]
        until(lambda: min(acknowledged.values()) >= ACKNOWLEDGED, 60, "steps of every session are acknowledged")
        before = dict(acknowledged)
        _verb("backup", str(tmp_path / "copy"), home=server.home)
        is_copied = True
        for each in driven:
            each.result()
    _verb("restore", str(tmp_path / "copy"), home=tmp_path)
    expected = whole(pair[0], "sentiment", ids)
    with Server(tmp_path) as restored, http_client(restored.fast_url) as asked:
        for session_id in sessions:
            next_step = asked.get(f"/sessions/{session_id}").json()["step"]
            assert next_step >= before[session_id] >= ACKNOWLEDGED
            assert over_http(asked, session_id, ids[next_step:]).tobytes() == expected[next_step:].tobytes()


def _verb(*words: str, home: Path) -> None:
    done = subprocess.run(  # noqa: S603  words of this test
        [sys.executable, "-m", "service", *words], cwd=ROOT, env=environment(home), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
