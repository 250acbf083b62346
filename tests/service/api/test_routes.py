"""What answers at endpoints, joined, and the paths of it asked by other methods."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from service.api.endpoint import Endpoint
from service.api.endpoints import LIST_MODELS, LIVEZ, SERVER_LIVE, SHOW_SERVER
from service.api.routes import Unbound, joined, other_methods, routed, routes_of
from service.errors import ModelUnknown
from tests.fakes.asgi import Client

pytestmark = pytest.mark.anyio
READ, WRITE, REMOVE = (Endpoint(method, "/things/{name}") for method in ("GET", "PUT", "DELETE"))


def test_what_several_answer_is_joined() -> None:
    assert joined({READ: 1}, {}, {WRITE: 2, REMOVE: 3}) == {READ: 1, WRITE: 2, REMOVE: 3}


def test_no_endpoint_is_answered_twice() -> None:
    with pytest.raises(Unbound, match=r"^answered twice: GET /things/{name}, PUT /things/{name}$"):
        joined({READ: 1, WRITE: 1}, {REMOVE: 2}, {READ: 3, WRITE: 3})


@pytest.mark.parametrize(
    ("hot", "others", "allowed"),
    [
        ([WRITE], [], "PUT"),
        ([READ], [], "GET, HEAD"),
        ([WRITE, REMOVE], [], "PUT, DELETE"),
        ([WRITE], [READ, REMOVE], "PUT, GET, HEAD, DELETE"),
    ],
)
async def test_a_hot_path_asked_by_another_method_tells_all_of_its_methods(
    hot: list[Endpoint], others: list[Endpoint], allowed: str
) -> None:
    async def answer(request: Request) -> Response:
        return Response(request.method)

    routes = [*routes_of(dict.fromkeys(others, answer)), *other_methods(hot, others)]
    client = Client(Starlette(routes=routes))
    refused = await client.request("PATCH", "/things/x")
    assert (refused.status, refused.headers["allow"]) == (405, allowed)
    for endpoint in others:
        assert (await client.request(endpoint.method, "/things/x")).body == endpoint.method.encode()


async def test_a_handler_that_refuses_or_fails_answers_in_the_form_of_its_path(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(_: Request) -> Response:
        raise ModelUnknown("none")

    async def fail(_: Request) -> Response:
        raise ValueError("a secret")

    client = Client(routed(routes_of({LIST_MODELS: refuse, SHOW_SERVER: refuse, LIVEZ: fail, SERVER_LIVE: fail})))
    problem, error = [await client.request("GET", endpoint.path) for endpoint in (LIST_MODELS, SHOW_SERVER)]
    assert (problem.status, problem.json()["type"]) == (404, "urn:unrolled:problem:model-unknown")
    assert (error.status, error.json()) == (404, {"error": "none"})
    failed = [await client.request("GET", endpoint.path) for endpoint in (LIVEZ, SERVER_LIVE)]
    assert [(answer.status, b"secret" in answer.body) for answer in failed] == [(500, False)] * 2
    assert caplog.messages == ["fail failed"] * 2
