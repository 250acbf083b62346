"""What answers at endpoints, joined, and the paths of it asked by other methods."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from service.api.endpoint import Endpoint
from service.api.routes import Unbound, joined, other_methods, routes_of
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
