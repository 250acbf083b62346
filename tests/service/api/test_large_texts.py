"""What is compressed, for whom, and what is not sent again."""

import gzip

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.large_texts import compressed, revalidated
from tests.fakes.asgi import Answered, Client

pytestmark = pytest.mark.anyio
TEXT = b"the same again and again, " * 1000


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the text."""
    request = Request(scope)
    response = await compressed(request, revalidated(request, TEXT, "text/plain"))
    await response(scope, receive, send)


async def answered(**headers: str) -> Answered:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return await Client(app).request("GET", "/models", fields)


async def test_who_takes_gzip_is_sent_less() -> None:
    plain, small = await answered(), await answered(accept_encoding="gzip, deflate, br")
    assert (plain.body, gzip.decompress(small.body)) == (TEXT, TEXT)
    assert small.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    for each in (plain, small):
        assert each.headers["vary"] == "Accept-Encoding"
        assert int(each.headers["content-length"]) == len(each.body)
    assert len(small.body) < len(TEXT) / 100


@pytest.mark.parametrize(
    ("accepted", "is_taken"),
    [
        ("br, GZIP", True),
        ("gzip;q=0.5", True),
        ("identity,gzip ; q=1.0, br", True),
        ("gzip;q=0, identity", False),
        ("gzip; q=0.000", False),
        ("x-gzip, identity", False),
        ("", False),
    ],
)
async def test_who_refuses_gzip_is_not_sent_it(accepted: str, is_taken: bool) -> None:
    assert ("content-encoding" in (await answered(accept_encoding=accepted)).headers) is is_taken


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_who_has_the_text_is_not_sent_it_again(encoding: str) -> None:
    tag = (await answered()).headers["etag"]
    same = await answered(accept_encoding=encoding, if_none_match=tag)
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    for known in ("*", tag.removeprefix("W/"), f'"another", {tag}'):
        assert (await answered(if_none_match=known)).status == 304
    assert "content-encoding" not in same.headers
    assert (await answered(if_none_match='W/"another"')).body == TEXT


async def test_a_response_keeps_its_own_headers() -> None:
    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        response = Response(TEXT, 201, {"Vary": "Origin", "X-Own": "1"}, "text/plain")
        await (await compressed(Request(scope), response))(scope, receive, send)

    got = await Client(other).request("GET", "/", {"accept-encoding": "gzip"})
    assert (got.status, got.headers["x-own"], got.headers["vary"]) == (201, "1", "Origin, Accept-Encoding")
