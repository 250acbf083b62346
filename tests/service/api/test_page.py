"""The page at `/`: it loads nothing from anywhere else."""

import base64
import hashlib
import re

import pytest
from starlette.responses import PlainTextResponse

from service.api.page import PageFirst
from tests.fakes.asgi import Client

pytestmark = pytest.mark.anyio


@pytest.fixture
def client() -> Client:
    return Client(PageFirst(PlainTextResponse("the rest")))


async def test_the_page_asks_nobody_but_the_service(client: Client) -> None:
    answered = await client.request("GET", "/")
    page = answered.body.decode()
    assert (answered.status, answered.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "./docs.json" in page
    assert all(address.startswith(("./", "data:")) for address in re.findall(r'(?:src|href|url: )="?([^"]+)"', page))
    assert "//" not in page
    assert "validatorUrl: null" in page


async def test_the_page_runs_its_own_script_alone_and_is_framed_by_nobody(client: Client) -> None:
    answered = await client.request("GET", "/")
    policy = dict(each.strip().split(" ", 1) for each in answered.headers["content-security-policy"].split(";"))
    page = answered.body.decode()
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'self' 'sha256-{digest}'"
    assert (policy["default-src"], policy["frame-ancestors"]) == ("'self'", "'none'")
    assert answered.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("method", "path"), [("GET", "/static_content/swagger-ui.css"), ("GET", "/x"), ("POST", "/")])
async def test_the_rest_is_left_to_others(client: Client, method: str, path: str) -> None:
    assert (await client.request(method, path)).body == b"the rest"
