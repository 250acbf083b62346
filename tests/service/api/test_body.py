"""Bodies before anything reads them."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.api.body import BodyMiddleware, parsed
from service.api.body_reader import BodyReader
from service.api.media_types import BLOB
from service.errors import Malformed
from service.forms.sentiment import SentimentRequest
from tests.fakes.asgi import Client, Socket

pytestmark = pytest.mark.anyio
MAX_BYTES = 1000
JSON = {"content-type": "application/json"}


class Reader:
    """An application that answers with the body that it was given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        self.messages.append(message)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def client(reader: Reader) -> Client:
    return Client(BodyMiddleware(reader, BodyReader(MAX_BYTES)))


async def test_a_body_that_comes_in_pieces_is_handed_on_whole(client: Client, reader: Reader) -> None:
    exchange = client.begin("POST", "/sentiment", None)
    for piece, more in ((b'{"text"', True), (b': "a"}', False)):
        exchange.send_body(piece, more)
    assert (await exchange.answered()).status == 200
    assert reader.messages == [{"type": "http.request", "body": b'{"text": "a"}', "more_body": False}]


async def test_who_hangs_up_within_the_body_has_asked_nothing(client: Client, reader: Reader) -> None:
    exchange = client.begin("POST", "/sentiment", None)
    exchange.send_body(b'{"te', more_body=True)
    exchange.hang_up()
    assert (await exchange.answered()).status == 499
    assert reader.messages == []


async def test_behind_the_body_the_client_is_heard_to_hang_up() -> None:
    heard: list[str] = []

    async def listener(_: Scope, receive: Receive, send: Send) -> None:
        heard.extend([(await receive())["type"] for _ in range(2)])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    exchange = Client(BodyMiddleware(listener, BodyReader(MAX_BYTES))).begin("PUT", "/sessions/x/checkpoints/y", b"{}")
    exchange.hang_up()
    await exchange.answered()
    assert heard == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_a_request_that_needs_no_body_may_be_of_any_type(client: Client, reader: Reader, method: str) -> None:
    exchange = client.begin(method, "/sentiment", b"", {"content-type": "text/plain"})
    assert (await exchange.answered()).status == 200
    assert (len(reader.messages), len(exchange.sent)) == (1, 2)


WITHOUT_BODY = [
    ("PUT", "/sessions/x/checkpoints/y"),
    ("POST", "/sessions/x/fork"),
    ("POST", "/sessions/x/migrate"),
    ("POST", "/v2/repository/index"),
]


@pytest.mark.parametrize(("method", "path"), WITHOUT_BODY)
@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-www-form-urlencoded"])
async def test_where_no_body_is_needed_its_type_matters_only_if_there_is_one(
    client: Client, reader: Reader, method: str, path: str, kind: str
) -> None:
    """aiohttp and urllib name these types for an empty body."""
    headers = {"content-type": kind}
    assert (await client.begin(method, path, b"", headers).answered()).status == 200
    assert (await client.begin(method, path, b"{}", headers).answered()).status == 415
    chunked = client.begin(method, path, None, headers)
    for piece, more in ((b"", True), (b"{}", True), (b"", False)):
        chunked.send_body(piece, more)
    assert (await chunked.answered()).status == 415
    assert len(reader.messages) == 1


@pytest.mark.parametrize("path", ["/sentiment", "/generate", "/sessions", "/sessions/import"])
async def test_elsewhere_not_even_an_empty_body_may_be_of_any_type(client: Client, path: str) -> None:
    assert (await client.post(path, b"", {"content-type": "multipart/form-data"})).status == 415


async def test_a_body_of_another_type_is_refused_before_it_is_sent_where_one_is_needed(client: Client) -> None:
    exchange = client.begin("POST", "/sentiment", None, {"content-type": "text/plain"})
    assert (await exchange.answered()).status == 415


async def test_the_body_of_a_delete_has_a_limit_too(client: Client, reader: Reader) -> None:
    assert (await client.begin("DELETE", "/sessions/x", b"x" * (MAX_BYTES + 1)).answered()).status == 413
    assert not reader.messages


async def test_a_connection_is_handed_on() -> None:
    handed_on: list[Scope] = []

    async def stream(scope: Scope, _receive: Receive, _send: Send) -> None:
        handed_on.append(scope)

    socket = Socket(BodyMiddleware(stream, BodyReader(MAX_BYTES)), "ann")
    await socket.task
    assert handed_on == [socket.scope]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (JSON, bytes(MAX_BYTES), 200),
        (JSON, bytes(MAX_BYTES + 1), 413),
        (JSON | {"content-length": str(MAX_BYTES + 1)}, b"", 413),
        ({"content-type": "text/plain"}, b"{}", 415),
        (JSON | {"content-encoding": "identity"}, b"{}", 200),
        (JSON | {"content-encoding": "gzip"}, b"\x1f\x8b", 415),
    ],
)
async def test_only_json_of_a_moderate_length_passes(
    client: Client, headers: dict[str, str], body: bytes, status: int
) -> None:
    assert (await client.post("/sentiment", body, headers)).status == status


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("/sentiment", "application/json (curl"), ("/sessions/import", f"{BLOB} or application/octet-stream, not")],
)
async def test_who_sends_another_type_is_told_which_the_path_takes(client: Client, path: str, wanted: str) -> None:
    refused = await client.post(path, b"a=1", {"content-type": "application/x-www-form-urlencoded"})
    assert refused.status == 415
    assert refused.json()["detail"].startswith(f"send the body as {wanted}")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/sentimnet"), ("POST", "/models"), ("PUT", "/sentiment"), ("DELETE", "/sentiment")]
)
@pytest.mark.parametrize("headers", [{"content-type": "application/x-www-form-urlencoded"}, {"content-encoding": "br"}])
async def test_where_nothing_takes_a_body_its_type_does_not_matter(
    client: Client, method: str, path: str, headers: dict[str, str]
) -> None:
    assert (await client.begin(method, path, b"{}", headers).answered()).status == 200


@pytest.mark.parametrize("path", ["/sentiment", "/v2/repository/index"])
async def test_who_sends_a_compressed_body_is_told_what_is_read(client: Client, path: str) -> None:
    """RFC 9110, section 15.5.16: else the type of the body would be what is wrong."""
    assert (await client.post(path, b"", {"content-encoding": "br"})).headers["accept-encoding"] == "identity"
    assert "accept-encoding" not in (await client.post(path, b"", {"content-type": "text/plain"})).headers


async def test_a_byte_order_mark_is_named(client: Client, reader: Reader) -> None:
    refused = await client.post("/sentiment", b'\xef\xbb\xbf{"text": "a"}')
    assert (refused.status, refused.json()["detail"]) == (
        400,
        "what was sent is not JSON: it begins with a byte order mark",
    )
    assert reader.messages == []
    assert (await client.post("/sessions/import", b"\xef\xbb\xbf", {"content-type": BLOB})).status == 200


@pytest.mark.parametrize("text", [r"great \ud83c", r"\udfac film"])
def test_a_text_that_was_cut_within_a_character_is_told_so(text: str) -> None:
    with pytest.raises(Malformed, match=r"^a string has half a character, a lone surrogate, at line 1 column \d+: cut"):
        parsed(SentimentRequest, f'{{"text": "{text}"}}'.encode())


@pytest.mark.parametrize("body", [b"{", b"", b"x", b"{'text': 1}"])
def test_what_is_not_json_is_told_so_once(body: bytes) -> None:
    with pytest.raises(Malformed, match=r"^what was sent is not JSON: (?!Invalid JSON)"):
        parsed(SentimentRequest, body)
