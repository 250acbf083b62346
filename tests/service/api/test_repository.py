"""`/v2/repository`: which versions are loaded, and loading another."""

import pytest
from starlette.applications import Starlette

from service.api.repository import RepositoryRoutes
from tests.fakes.asgi import Client
from tests.service.test_reload import Service, Worker

pytestmark = pytest.mark.anyio


def client(worker: Worker) -> Client:
    return Client(Starlette(routes=RepositoryRoutes(worker.catalog, worker.reloader).routes()))


async def test_the_index_tells_current_versions_from_those_that_sessions_live_on() -> None:
    service = Service("1", "2")
    await service.open_session("sum:1")
    worker = await service.worker("a")
    loaded = await client(worker).post("/v2/repository/models/sum/load", b"")
    assert (loaded.status, loaded.json()["version"]) == (200, "2")
    index = (await client(worker).post("/v2/repository/index", b"")).json()
    assert index == [
        {"name": "sum", "version": "1", "state": "READY", "reason": "sessions live on it"},
        {"name": "sum", "version": "2", "state": "READY", "reason": ""},
    ]


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
async def test_what_cannot_be_loaded_is_a_problem(name: str, body: object, status: int) -> None:
    worker = await Service("1").worker("a")
    answered = await client(worker).post(f"/v2/repository/models/{name}/load", body)
    assert (answered.status, answered.headers["content-type"]) == (status, "application/problem+json")
    assert worker.current == "sum:1"
