"""The `/sessions` resource over HTTP."""

import pytest

from service.api.media_types import BLOB, OCTETS
from service.stores.limits import Limits
from tests.fakes.asgi import Client, Surface
from tests.fakes.process import Process
from tests.fakes.stores import FaultyStore

pytestmark = pytest.mark.anyio


async def test_a_session_is_created_shown_listed_and_ended(surface: Surface) -> None:
    created = await surface.client.post("/sessions", {"model": "sum"})
    session_id = created.json()["session_id"]
    assert (created.status, created.headers["location"]) == (201, f"/sessions/{session_id}")
    assert (await surface.client.request("GET", f"/sessions/{session_id}")).json() == created.json()
    assert (await surface.client.request("GET", "/sessions")).json() == {"sessions": [created.json()]}
    assert (await surface.client.request("DELETE", f"/sessions/{session_id}")).status == 204
    gone = await surface.client.request("GET", f"/sessions/{session_id}")
    assert (gone.status, gone.json()["reason"]) == (410, "ended")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/sessions", {"POST", "GET", "HEAD"}),
        ("/sessions/x", {"GET", "HEAD", "DELETE"}),
        ("/sessions/x/checkpoints/here", {"PUT", "DELETE"}),
        ("/sessions/x/fork", {"POST"}),
        ("/sessions/x/steps", {"POST"}),
        ("/steps", {"POST"}),
    ],
)
async def test_a_path_that_is_asked_by_another_method_tells_all_that_it_takes(
    surface: Surface, path: str, allowed: set[str]
) -> None:
    refused = await surface.client.request("PATCH", path)
    assert (refused.status, refused.headers["content-type"]) == (405, "application/problem+json")
    assert set(refused.headers["allow"].split(", ")) == allowed


async def test_a_stream_is_no_page(surface: Surface) -> None:
    refused = await surface.client.request("GET", "/stream")
    assert (refused.status, refused.headers["upgrade"], refused.json()["status"]) == (426, "websocket", 426)


async def test_the_head_of_a_session_is_that_of_its_answer(surface: Surface, process: Process) -> None:
    path = f"/sessions/{await process.create()}"
    shown, head = [await surface.client.request(method, path) for method in ("GET", "HEAD")]
    assert (head.status, head.headers) == (200, shown.headers)


async def test_inputs_are_in_one_language(surface: Surface, process: Process) -> None:
    path = f"/sessions/{await process.create()}/steps"
    refused = await surface.client.post(path, {"inputs": {"text": "x", "ids": [1]}})
    assert (refused.status, refused.json()["detail"]) == (422, "inputs: give ids alone, or text without ids")
    assert process.model.num_computed == 0


async def test_a_key_is_a_header_of_visible_characters(surface: Surface) -> None:
    headers = {"content-type": "application/json", "idempotency-key": "once"}
    first = await surface.client.post("/sessions", {"model": "sum"}, headers)
    assert (await surface.client.post("/sessions", {"model": "sum"}, headers)).json() == first.json()
    assert (await surface.client.post("/sessions", {"model": "sum", "ttl_seconds": 3}, headers)).status == 422
    for key in ("", "a b", "x" * 256, "\x7f"):
        headers["idempotency-key"] = key
        assert (await surface.client.post("/sessions", {"model": "sum"}, headers)).status == 422


async def test_pages_are_continued_by_their_last_id(surface: Surface, process: Process) -> None:
    ids = {await process.create() for _ in range(5)}
    first = (await surface.client.request("GET", "/sessions?limit=3")).json()
    rest = (await surface.client.request("GET", f"/sessions?limit=3&after={first['next']}")).json()
    assert {view["session_id"] for view in (*first["sessions"], *rest["sessions"])} == ids
    assert "next" not in rest
    assert (await surface.client.request("GET", "/sessions?after=here")).status == 422
    for limit in ("1", "1000"):
        assert (await surface.client.request("GET", f"/sessions?limit={limit}")).status == 200
    for limit in ("0", "1001", "x", "-1", ""):
        assert (await surface.client.request("GET", f"/sessions?limit={limit}")).status == 422


async def test_checkpoints_are_saved_returned_to_and_forgotten(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    path = f"/sessions/{session_id}"
    saved = await surface.client.request("PUT", f"{path}/checkpoints/here?step=0")
    assert (saved.status, saved.json()["step"], saved.json()["outputs"]) == (200, 1, {"save": "here"})
    assert (await surface.client.request("PUT", f"{path}/checkpoints/here?step=0")).body == saved.body
    await process.text(session_id, "abc")
    assert (await surface.client.post(f"{path}/rollback", {"checkpoint": "here"})).json()["step"] == 3
    assert await process.count(session_id) == 0
    assert (await surface.client.request("GET", path)).json()["checkpoints"] == ["here"]
    assert (await surface.client.request("DELETE", f"{path}/checkpoints/here")).json()["step"] == 4
    assert "checkpoints" not in (await surface.client.request("GET", path)).json()
    assert (await surface.client.post(f"{path}/rollback", {"checkpoint": "here"})).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/{id}/checkpoints/here?stp=0"),
        ("DELETE", "/{id}/checkpoints/here?stp=0"),
        ("GET", "?page=2"),
        ("GET", "/{id}?step=0"),
        ("DELETE", "/{id}?step=0"),
        ("POST", "?ttl_seconds=5"),
        ("POST", "/{id}/steps?step="),
        ("POST", "/{id}/rollback?step=0"),
        ("POST", "/{id}/fork?checkpoint=nope"),
        ("POST", "/{id}/migrate?step=0"),
        ("GET", "/{id}/state?step=0"),
        ("POST", "/import?ttl_seconds=5"),
    ],
)
async def test_a_parameter_that_would_be_ignored_is_refused(
    surface: Surface, process: Process, method: str, path: str
) -> None:
    session_id = await process.create()
    refused = await surface.client.begin(method, "/sessions" + path.format(id=session_id), b"{}").answered()
    assert refused.status == 422
    assert "there is no such parameter" in refused.json()["detail"]
    assert (await process.sessions.get("ann", session_id)).step == 0


async def test_the_steps_of_many_take_no_parameter(surface: Surface) -> None:
    refused = await surface.client.post("/steps?step=0", {"items": []})
    assert (refused.status, refused.json()["errors"][0]["location"]) == (422, ["step"])


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_checkpoints_step_that_is_sent_in_a_body_is_refused(
    surface: Surface, process: Process, method: str
) -> None:
    session_id = await process.create()
    path = f"/sessions/{session_id}/checkpoints/here"
    refused = await surface.client.begin(method, path, b'{"step": 0}').answered()
    assert (refused.status, "?step=" in refused.json()["detail"]) == (422, True)
    assert (await process.sessions.get("ann", session_id)).step == 0
    assert (await surface.client.begin(method, path, b"step=0").answered()).status == 422
    for body in (b"{}", b"{ }\n"):
        assert (await surface.client.begin("PUT", path, body).answered()).status == 200


async def test_what_has_defaults_for_everything_needs_no_body(surface: Surface, process: Process) -> None:
    path = f"/sessions/{await process.create()}"
    assert (await surface.client.request("POST", f"{path}/fork")).status == 201
    assert (await surface.client.request("POST", f"{path}/migrate")).json()["type"].endswith("not-migratable")
    told = (await surface.client.request("POST", "/sessions")).json()
    assert (told["status"], told["detail"]) == (422, "model: Field required")


@pytest.mark.parametrize(
    "query",
    ["here?step=x", "here?step=-1", "a~b", ".", "..", "...", "x" * 65, f"here?step={2**63}", "here?step=" + "0" * 20],
)
async def test_a_checkpoint_that_cannot_be_is_refused(surface: Surface, process: Process, query: str) -> None:
    session_id = await process.create()
    assert (await surface.client.request("PUT", f"/sessions/{session_id}/checkpoints/{query}")).status == 422


async def test_the_number_of_a_step_has_63_bits_in_a_query_as_in_a_body(surface: Surface, process: Process) -> None:
    path = f"/sessions/{await process.create()}/checkpoints/here?step={2**63 - 1}"
    assert (await surface.client.request("PUT", path)).json()["expected_step"] == 0


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", BLOB),
        ("application/octet-stream", OCTETS),
        ("application/problem+json, Application/Octet-Stream;q=0.9", OCTETS),
        (f"application/octet-stream, {BLOB};q=0.5", BLOB),
        ("application/json", BLOB),
    ],
)
async def test_an_export_has_the_type_that_every_client_knows_where_only_that_is_accepted(
    surface: Surface, process: Process, accept: str, media_type: str
) -> None:
    path = f"/sessions/{await process.create()}/state"
    exported = await surface.client.request("GET", path, {"accept": accept})
    assert (exported.status, exported.headers["content-type"]) == (200, media_type)


async def test_a_session_is_forked_and_travels(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    await process.text(session_id, "ab")
    forked = await surface.client.post(f"/sessions/{session_id}/fork", {})
    assert (forked.status, forked.json()["step"]) == (201, 1)
    exported = await surface.client.request("GET", f"/sessions/{session_id}/state")
    assert exported.headers["content-type"] == BLOB
    taken = await surface.client.post("/sessions/import", exported.body, {"content-type": BLOB})
    assert (taken.status, taken.json()["step"]) == (201, 1)
    assert len({session_id, forked.json()["session_id"], taken.json()["session_id"]}) == 3
    assert (await surface.client.post("/sessions/import", exported.body + b"1", {"content-type": BLOB})).status == 400


async def test_a_session_that_keeps_no_inputs_does_not_migrate(surface: Surface, process: Process) -> None:
    session_id = await process.create()
    refused = await surface.client.post(f"/sessions/{session_id}/migrate", {})
    assert (refused.status, refused.json()["type"]) == (409, "urn:unrolled:problem:not-migratable")


async def test_every_verb_is_its_owners_only(surface: Surface, process: Process) -> None:
    session_id = await process.create("ann")
    await process.transitions.save("ann", session_id, "here")
    eve, path = Client(surface.app, "eve"), f"/sessions/{session_id}"
    answers = [
        *[await eve.request(method, path) for method in ("GET", "DELETE")],
        await eve.request("GET", f"{path}/state"),
        *[await eve.request(method, f"{path}/checkpoints/here") for method in ("PUT", "DELETE")],
        *[await eve.post(f"{path}/{verb}", {}) for verb in ("fork", "migrate")],
        await eve.post(f"{path}/rollback", {"checkpoint": "here"}),
        await eve.post(f"{path}/steps", {"inputs": {"text": "a"}}),
    ]
    assert [answer.status for answer in answers] == [404] * 9
    assert (await process.sessions.get("ann", session_id)).step == 1


async def test_an_owner_with_as_many_sessions_as_one_may_have_is_told_to_end_some() -> None:
    async with Process(FaultyStore(Limits(max_sessions_per_owner=1))) as process:
        surface = Surface(process)
        ann, eve = surface.client, Client(surface.app, "eve")
        path = f"/sessions/{(await ann.post('/sessions', {'model': 'sum'})).json()['session_id']}"
        blob = (await ann.request("GET", f"{path}/state")).body
        start = {"sequence_id": 1, "sequence_start": True}
        tensor = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [1]}
        refused = [
            await ann.post("/sessions", {"model": "sum"}),
            await ann.post(f"{path}/fork", {}),
            await ann.post("/sessions/import", blob, {"content-type": BLOB}),
        ]
        told = {"status": 429, "type": "urn:unrolled:problem:session-quota", "title": "Session quota reached"}
        assert [each.json() for each in refused] == [{**told, "detail": "you have 1 of 1 sessions; end some"}] * 3
        assert {(each.status, each.headers["content-type"]) for each in refused} == {(429, "application/problem+json")}
        sequence = await ann.post("/v2/models/sum/infer", {"parameters": start, "inputs": [tensor]})
        assert (sequence.status, sequence.json()) == (429, {"error": "you have 1 of 1 sessions; end some"})
        assert (await eve.post("/sessions", {"model": "sum"})).status == 201
        assert (await ann.request("DELETE", path)).status == 204
        assert (await ann.post("/sessions", {"model": "sum"})).status == 201
