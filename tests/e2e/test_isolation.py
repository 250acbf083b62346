"""Isolation: an owner's sessions are there for nobody else, and no row touches its neighbours."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.keys.key_file import add_key, read_keys, remove_key
from tests.e2e.asking import Json, ask, http_client, open_session, step
from tests.e2e.server import Server
from tests.e2e.stream import open_stream
from tests.paths import ROOT
from tests.waiting import until

pytestmark = pytest.mark.e2e
REVOKED_SECONDS = 20
SEGMENT: int = json.loads((ROOT / "models/forecasting/manifest.json").read_text())["task"]["segment"]
OPEN = ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/docs.json")
UNKNOWN = "urn:unrolled:problem:session-unknown"


@pytest.fixture(scope="module", params=["url", "fast_url"])
def callers(
    guarded: Server, tokens: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[dict[str, httpx.Client]]:
    """A client of each owner on one of the two ports, and nobody's."""
    url = getattr(guarded, request.param)
    headers = {owner: {"Authorization": f"Bearer {token}"} for owner, token in tokens.items()}
    clients = {owner: http_client(url, headers=headers.get(owner)) for owner in ("ann", "bob", "nobody")}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture
def of_ann(callers: dict[str, httpx.Client]) -> str:
    """A session of ann's, one step old, with a checkpoint."""
    session_id = open_session(callers["ann"], "sentiment")
    step(callers["ann"], session_id, {"text": "a secret"})
    assert callers["ann"].put(f"/sessions/{session_id}/checkpoints/here").status_code == 200
    return session_id


VERBS: list[tuple[str, str, Json | None]] = [
    ("GET", "/sessions/{}", None),
    ("POST", "/sessions/{}/steps", {"inputs": {"text": "a"}}),
    ("POST", "/sessions/{}/steps", {"inputs": {"text": "a"}, "stream": True}),
    ("POST", "/sessions/{}/fork", {}),
    ("POST", "/sessions/{}/fork", {"checkpoint": "here"}),
    ("POST", "/sessions/{}/rollback", {"checkpoint": "here"}),
    ("POST", "/sessions/{}/migrate", {}),
    ("GET", "/sessions/{}/state", None),
    ("PUT", "/sessions/{}/checkpoints/here", None),
    ("DELETE", "/sessions/{}/checkpoints/here", None),
    ("DELETE", "/sessions/{}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), VERBS)
def test_anothers_session_is_as_if_it_had_never_existed(
    callers: dict[str, httpx.Client], of_ann: str, method: str, path: str, body: Json | None
) -> None:
    never = "A" * len(of_ann)
    of_another, of_nobody = (callers["bob"].request(method, path.format(each), json=body) for each in (of_ann, never))
    assert (of_another.status_code, of_another.json()["type"]) == (404, UNKNOWN)
    assert of_another.text == of_nobody.text.replace(never, of_ann)
    assert callers["ann"].get(f"/sessions/{of_ann}").json()["step"] == 2


def test_a_checkpoints_own_record_is_no_session(callers: dict[str, httpx.Client], of_ann: str) -> None:
    for owner in ("ann", "bob"):
        assert callers[owner].get(f"/sessions/{of_ann}~here~1").status_code == 404


def test_lists_show_ones_own_sessions_only(callers: dict[str, httpx.Client], of_ann: str) -> None:
    def listed(owner: str) -> set[str]:
        page = callers[owner].get("/sessions", params={"limit": 1000}).json()
        return {session["session_id"] for session in page["sessions"]}

    of_bob = open_session(callers["bob"], "sentiment")
    assert of_ann in listed("ann") - listed("bob")
    assert of_bob in listed("bob") - listed("ann")


def test_many_steps_at_once_are_refused_one_by_one(callers: dict[str, httpx.Client], of_ann: str) -> None:
    of_bob = open_session(callers["bob"], "sentiment")
    items = [{"session_id": each, "inputs": {"ids": [1]}} for each in (of_ann, of_bob)]
    answers = ask(callers["bob"], "/steps", {"items": items})["items"]
    assert [answer["status"] for answer in answers] == [404, 200]


def test_a_key_that_opened_anothers_session_opens_ones_own(callers: dict[str, httpx.Client]) -> None:
    key = {"Idempotency-Key": "the-same"}
    opened = {
        callers[owner].post("/sessions", json={"model": "sentiment"}, headers=key).json()["session_id"]
        for owner in ("ann", "bob")
    }
    assert len(opened) == 2


def test_a_sequence_is_its_owners(callers: dict[str, httpx.Client]) -> None:
    def part(owner: str, **parameters: object) -> httpx.Response:
        tensor = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [1]}
        body = {"parameters": {"sequence_id": 42, **parameters}, "inputs": [tensor]}
        return callers[owner].post("/v2/models/sentiment/infer", json=body)

    of_ann = part("ann", sequence_start=True).json()["parameters"]["session_id"]
    part("bob", sequence_start=True, sequence_end=True)
    assert part("bob").status_code == 410
    assert part("ann").json()["parameters"]["session_id"] == of_ann
    assert callers["bob"].get(f"/sessions/{of_ann}").status_code == 404


@pytest.mark.parametrize("path", ["/v2", "/v2/models/sentiment", "/v2/models/sentiment/infer"])
def test_who_shows_no_key_is_told_so_in_the_protocols_form(callers: dict[str, httpx.Client], path: str) -> None:
    refused = callers["nobody"].request("POST" if path.endswith("infer") else "GET", path)
    assert (refused.status_code, list(refused.json())) == (401, ["error"])
    assert refused.headers["www-authenticate"] == 'Bearer realm="unrolled"'


REQUESTS: list[tuple[str, str]] = [
    ("POST", "/sentiment"),
    ("POST", "/tag"),
    ("POST", "/generate"),
    ("POST", "/forecast"),
    ("POST", "/sessions"),
    ("GET", "/sessions"),
    ("GET", "/sessions/x"),
    ("POST", "/sessions/x/steps"),
    ("POST", "/sessions/import"),
    ("POST", "/steps"),
    ("GET", "/models"),
    ("GET", "/metrics"),
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/sentiment/load"),
    ("GET", "/nothing"),
]


@pytest.mark.parametrize(("method", "path"), REQUESTS)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer unr_0123456789ab_" + "0" * 64}, {"Authorization": "Basic YTpi"}]
)
def test_who_shows_no_valid_key_is_told_so_on_every_surface(
    callers: dict[str, httpx.Client], method: str, path: str, headers: dict[str, str]
) -> None:
    refused = callers["nobody"].request(method, path, headers=headers, content=b"{" if method == "POST" else b"")
    form = "application/json" if path.startswith("/v2/") else "application/problem+json"
    assert (refused.status_code, refused.headers["content-type"]) == (401, form)
    assert ("error" in refused.json()) is path.startswith("/v2/")
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_probes_and_the_document_need_no_key(callers: dict[str, httpx.Client]) -> None:
    assert [callers["nobody"].get(path).status_code for path in OPEN] == [200] * len(OPEN)


def test_no_key_loads_a_version_where_no_admin_is_named(callers: dict[str, httpx.Client]) -> None:
    refused = callers["ann"].post("/v2/repository/models/sentiment/load", json={})
    assert (refused.status_code, "UNROLLED_ADMINS" in refused.json()["error"]) == (403, True)


@pytest.mark.parametrize("path", ["/metrics", "/models"])
def test_any_key_opens_what_is_no_owners(callers: dict[str, httpx.Client], path: str) -> None:
    assert [callers[owner].get(path).status_code for owner in ("ann", "bob")] == [200, 200]


def streams(server: Server) -> list[str]:
    return [server.stream_url, f"ws://127.0.0.1:{server.port}/stream"]


def by_header(token: str) -> dict[str, object]:
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


def by_subprotocol(token: str) -> dict[str, object]:
    return {"subprotocols": ["unrolled", f"bearer.{token}"]}


@pytest.mark.parametrize("port", [0, 1])
@pytest.mark.parametrize("shown", [by_header, by_subprotocol])
def test_a_stream_is_its_owners(
    guarded: Server, tokens: dict[str, str], of_ann: str, shown: Callable[[str], dict[str, object]], port: int
) -> None:
    with open_stream(streams(guarded)[port], **shown(tokens["ann"])) as stream:
        assert stream.connection.subprotocol == (None if shown is by_header else "unrolled")
        assert stream.ask(of_ann, {"text": "b"})["status"] == 200
    with open_stream(streams(guarded)[port], **shown(tokens["bob"])) as stream:
        refused = stream.ask(of_ann, {"text": "b"})
        assert (refused["status"], refused["problem"]["type"]) == (404, UNKNOWN)
        head, _ = stream.ask_binary([{"session_id": of_ann}], np.array([[1]]))
        assert head["items"][0]["status"] == 404


@pytest.mark.parametrize("port", [0, 1])
@pytest.mark.parametrize("options", [{}, by_header("unr_x_y")])
def test_a_stream_without_a_valid_key_is_not_opened(guarded: Server, port: int, options: dict[str, object]) -> None:
    with pytest.raises(InvalidStatus) as refused, open_stream(streams(guarded)[port], **options):
        pass
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize("port", [0, 1])
def test_a_browser_is_told_by_the_close_code_that_its_key_is_not_valid(guarded: Server, of_ann: str, port: int) -> None:
    with (
        open_stream(streams(guarded)[port], **by_subprotocol("unr_x_y")) as stream,
        pytest.raises(ConnectionClosed) as closed,
    ):
        stream.ask(of_ann, {"text": "b"})
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "the API key is not valid, or no longer")


def test_a_removed_key_ends_requests_and_streams(guarded: Server, keys: Path) -> None:
    token = add_key(keys, "eve")
    key_id = next(key.key_id for key in read_keys(keys).values() if key.owner == "eve")
    headers = {"Authorization": f"Bearer {token}"}
    # A connection for each request, so that every worker is asked.
    with http_client(guarded.fast_url, headers=headers, limits=httpx.Limits(max_keepalive_connections=0)) as eve:
        until(lambda: all(eve.get("/models").is_success for _ in range(20)), REVOKED_SECONDS, "the key counts")
    with http_client(guarded.fast_url, headers=headers) as eve:
        session_id = open_session(eve, "sentiment")
        with open_stream(guarded.stream_url, **by_header(token)) as stream:
            assert stream.ask(session_id, {"text": "a"})["status"] == 200
            remove_key(keys, key_id)
            until(lambda: eve.get("/models").status_code == 401, REVOKED_SECONDS, "the key is refused")
            with pytest.raises(ConnectionClosed) as closed:
                until(lambda: stream.ask(session_id, {"text": "a"})["status"] != 200, REVOKED_SECONDS, "it is closed")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008


EXTREMES = [[1e12] * 8, [-1e12] * 8, [0.0] * 8, [5e-324] * 8]


def test_extreme_neighbours_leave_a_row_its_bits(client: httpx.Client) -> None:
    readings = [[math.sin(n) for n in range(8 * k, 8 * k + 8)] for k in range(3)]
    own = np.resize(np.array(readings), (3, SEGMENT)).tolist()
    alone, *others = (open_session(client, "forecasting") for _ in range(2 + len(EXTREMES)))
    among, *extremes = others
    step(client, alone, {"x": own})
    items = [{"session_id": among, "inputs": {"x": own}}]
    items += [
        {"session_id": each, "inputs": {"x": np.resize(np.array(values), (3, SEGMENT)).tolist()}}
        for each, values in zip(extremes, EXTREMES, strict=True)
    ]
    assert {answer["status"] for answer in ask(client, "/steps", {"items": items})["items"]} == {200}
    assert step(client, among, {"horizon": 9}) == step(client, alone, {"horizon": 9})


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_no_reading_is_refused_for_its_own_row_only(server: Server, client: httpx.Client, wrong: float) -> None:
    sessions = [open_session(client, "forecasting") for _ in range(3)]
    values = np.arange(3.0 * 2 * SEGMENT).reshape(3, 2, SEGMENT)
    values[1, 1, -1] = wrong
    with open_stream(server.stream_url) as stream:
        head, _ = stream.ask_binary([{"session_id": each} for each in sessions], values)
    assert [item["status"] for item in head["items"]] == [200, 422, 200]
    for row, session_id in enumerate(sessions):
        if row != 1:
            fresh = open_session(client, "forecasting")
            step(client, fresh, {"x": values[row].tolist()})
            assert step(client, session_id, {"horizon": 5}) == step(client, fresh, {"horizon": 5})
    assert client.get(f"/sessions/{sessions[1]}").json()["step"] == 0


def test_a_fresh_session_begins_at_the_declared_state(client: httpx.Client) -> None:
    def first() -> str:
        session_id = open_session(client, "generation")
        outputs = step(client, session_id, {"ids": [3]})
        client.delete(f"/sessions/{session_id}")
        return json.dumps(outputs)

    assert len({first() for _ in range(5)}) == 1
