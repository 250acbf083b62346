"""`/v2/repository`: which versions are loaded, and loading another."""

import pytest
from starlette.applications import Starlette

from service.api.auth import AuthMiddleware
from service.api.open_inference.repository import RepositoryRoutes
from service.api.routes import routes_of
from service.keys.keys import ANONYMOUS
from service.metrics import Metrics
from tests.fakes.asgi import Client
from tests.fakes.reloading import Service, Worker

pytestmark = pytest.mark.anyio


def client(worker: Worker, admins: frozenset[str] | None = None) -> Client:
    routes = routes_of(RepositoryRoutes(worker.catalog, worker.reloader, admins).handlers())
    return Client(AuthMiddleware(Starlette(routes=routes), None, Metrics().requests_tally))


async def test_the_index_tells_current_versions_from_those_that_sessions_live_on() -> None:
    service = Service("1", "2")
    await service.open_session("sum:1")
    worker = await service.worker("a")
    loaded = await client(worker).post("/v2/repository/models/sum/load", b"")
    assert loaded.json() == {"name": "sum", "version": "2", "state": "READY", "reason": ""}
    index = (await client(worker).post("/v2/repository/index", b"")).json()
    assert index == [
        {"name": "sum", "version": "1", "state": "READY", "reason": "sessions live on it"},
        {"name": "sum", "version": "2", "state": "READY", "reason": ""},
    ]


@pytest.mark.parametrize(("body", "status"), [(b"", 200), ({"ready": True}, 200), (b"{", 400), ({"redy": True}, 422)])
async def test_an_index_may_be_asked_for_as_tritons_clients_do(body: object, status: int) -> None:
    worker = await Service("1").worker("a")
    assert (await client(worker).post("/v2/repository/index", body)).status == status


async def test_a_version_may_be_named() -> None:
    worker = await Service("1", "2", "3").worker("a")
    body = {"parameters": {"version": "2"}}
    assert (await client(worker).post("/v2/repository/models/sum/load", body)).json()["version"] == "2"
    assert worker.current == "sum:2"


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("nosuch", b"", 404),
        ("sum", {"parameters": {"version": "7"}}, 404),
        ("sum", {"parameters": {"version": "damaged"}}, 422),
        ("sum", {"parameters": {"version": "a:b"}}, 422),
        ("sum", {"version": "1"}, 422),
        ("sum", b"{", 400),
    ],
)
async def test_what_cannot_be_loaded_is_an_error_of_the_protocol(name: str, body: object, status: int) -> None:
    worker = await Service("1").worker("a")
    answered = await client(worker).post(f"/v2/repository/models/{name}/load", body)
    assert (answered.status, answered.headers["content-type"]) == (status, "application/json")
    assert set(answered.json()) == {"error"}
    assert worker.current == "sum:1"


async def test_only_an_admin_loads() -> None:
    worker = await Service("1", "2").worker("a")
    loaded = "/v2/repository/models/sum/load"
    for admins in (frozenset({"root"}), frozenset[str]()):
        refused = await client(worker, admins).post(loaded, b"")
        assert (refused.status, worker.current) == (403, "sum:1")
        assert refused.json() == {"error": "only an owner that UNROLLED_ADMINS names may load a version"}
    assert (await client(worker, frozenset({"root"})).post("/v2/repository/index", b"")).status == 200
    assert (await client(worker, frozenset({"root", ANONYMOUS})).post(loaded, b"")).status == 200


async def test_a_version_is_not_loaded_while_the_store_is_down() -> None:
    service = Service("1", "2")
    worker = await service.worker("a")
    service.store.is_down = True
    answered = await client(worker).post("/v2/repository/models/sum/load", b"")
    assert (answered.status, answered.headers["retry-after"]) == (503, "1")
