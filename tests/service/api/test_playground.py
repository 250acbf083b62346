"""The playground's files: their headers, what is refused, and that they load nothing from elsewhere."""

import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Scope

from service.api.paths import label_of
from service.api.plain import PlainFirst
from service.api.playground import FILES, HEADERS, PageFiles, playground_routes
from service.api.refusal_layer import RefusalMiddleware
from tests.fakes.asgi import Client

pytestmark = pytest.mark.anyio
MAX_VENDORED_BYTES = 250_000
OWN = [path for path in FILES.iterdir() if path.is_file()]
SCRIPTS = {path.name for path in OWN if path.suffix == ".js"}


@pytest.fixture
def client() -> Client:
    return Client(RefusalMiddleware(Starlette(routes=playground_routes())))


async def test_the_page_comes_with_a_policy_that_lets_nothing_in_from_elsewhere(client: Client) -> None:
    answered = await client.request("GET", "/ui/")
    assert (answered.status, answered.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answered.body == (FILES / "index.html").read_bytes()
    policy = dict(part.split(" ", 1) for part in answered.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert answered.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
async def test_every_file_comes_with_its_type_and_the_headers(client: Client, path: Path) -> None:
    types = {
        ".html": {"text/html"},
        ".css": {"text/css"},
        ".js": {"text/javascript", "application/javascript"},
        ".svg": {"image/svg+xml"},
    }
    answered = await client.request("GET", f"/ui/{path.name}")
    assert answered.status == 200
    assert answered.headers["content-type"].partition(";")[0] in types[path.suffix]
    assert answered.headers.items() >= {name.lower(): value for name, value in HEADERS.items()}.items()


async def test_without_its_slash_it_leads_to_the_page_below_whatever_prefix(client: Client) -> None:
    answered = await client.request("GET", "/ui")
    assert (answered.status, answered.headers["location"]) == (307, "./ui/")


async def test_the_same_file_is_not_sent_again(client: Client) -> None:
    tag = (await client.request("GET", "/ui/main.js")).headers["etag"]
    answered = await client.request("GET", "/ui/main.js", {"if-none-match": tag})
    assert (answered.status, answered.body) == (304, b"")
    assert answered.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_file_is_compressed_for_who_takes_that(client: Client, method: str) -> None:
    plain = await client.request("GET", "/ui/main.js")
    exchange = client.begin(method, "/ui/main.js", b"", {"accept-encoding": "gzip, br"})
    answered = await exchange.answered()
    assert len(answered.headers) == len(exchange.sent[0]["headers"]), "a browser refuses a field that is there twice"
    assert gzip.decompress(answered.body) == plain.body == (FILES / "main.js").read_bytes()
    assert answered.headers["content-encoding"] == "gzip"
    assert int(answered.headers["content-length"]) == len(answered.body) < len(plain.body)
    for name in ("content-type", "content-security-policy", "etag", "vary"):
        assert answered.headers[name] == plain.headers[name]
    assert plain.headers["vary"] == "Accept-Encoding"


async def test_a_range_of_a_file_is_one_of_its_own_bytes(client: Client) -> None:
    answered = await client.request("GET", "/ui/main.js", {"accept-encoding": "gzip", "range": "bytes=0-3"})
    assert (answered.status, answered.body) == (206, (FILES / "main.js").read_bytes()[:4])
    assert "content-encoding" not in answered.headers


async def test_another_file_of_the_same_time_and_length_is_sent(tmp_path: Path) -> None:
    tags = []
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        path = tmp_path / version / "main.js"
        path.write_text(version)
        os.utime(path, (0, 0))
        client = Client(Starlette(routes=[Mount("/ui", PageFiles(directory=path.parent))]))
        tags.append((await client.request("GET", "/ui/main.js")).headers["etag"])
    assert tags[0] != tags[1]


@pytest.mark.parametrize("path", ["/ui", "/ui/", "/ui/style.css"])
async def test_head_has_the_headers_alone(client: Client, path: str) -> None:
    head, get = [await client.request(method, path) for method in ("HEAD", "GET")]
    assert (head.status, head.headers) == (get.status, get.headers)
    assert head.body == b""


@pytest.mark.parametrize(
    "path",
    [
        "/ui/nothing.js",
        "/ui/vendor",
        "/ui/vendor/",
        "/ui/../worker.py",
        "/ui/vendor/../../worker.py",
        "/ui//etc/passwd",
        "/ui/..%2fworker.py",
        "/ui/\0",
        f"/ui/{'x' * 300}",
        "/uix",
        "/ui//",
        "/ui//main.js",
        "/ui/./",
        "/ui/index.html/",
        "/ui/vendor/..",
        "/ui/vendor/../",
        "/ui/vendor/../main.js",
    ],
)
async def test_what_is_not_among_the_files_is_a_problem(client: Client, path: str) -> None:
    answered = await client.request("GET", path)
    assert (answered.status, answered.headers["content-type"]) == (404, "application/problem+json")
    assert answered.json()["detail"] == "there is nothing at this path"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/ui", "/ui/", "/ui/main.js"])
async def test_files_take_no_other_methods(client: Client, method: str, path: str) -> None:
    answered = await client.request(method, path)
    assert (answered.status, answered.headers["content-type"]) == (405, "application/problem+json")
    assert set(answered.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_bentomls_port_leaves_it_to_the_plain_application() -> None:
    given: list[str] = []

    async def plain(scope: Scope, *_: object) -> None:
        given.append(scope["path"])

    app = PlainFirst(untouched, plain)
    for path in ("/ui", "/ui/", "/ui/main.js"):
        await app({"type": "http", "path": path}, untouched, untouched)
    assert given == ["/ui", "/ui/", "/ui/main.js"]


async def untouched(*_: object) -> Any:  # noqa: ANN401  never comes to answer
    """What nobody asks anything of."""
    raise AssertionError


@pytest.mark.parametrize(
    ("path", "is_its"), [("/ui", True), ("/ui/", True), ("/ui/vendor/uplot.js", True), ("/uix", False), ("/", False)]
)
def test_its_files_are_counted_together(path: str, is_its: bool) -> None:
    assert (label_of(path) == "/ui") is is_its


def addresses(text: str) -> Iterator[str]:
    """What a file refers to."""
    yield from re.findall(r'(?:src|href)="([^"]*)"', text)
    yield from re.findall(r'from "([^"]*)"', text)
    yield from re.findall(r"url\(([^)]*)\)", text)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_files_refer_to_their_like_relatively_and_each_is_there(path: Path) -> None:
    for address in addresses(path.read_text()):
        assert not re.match(r"[a-z]+:|/", address), address
        assert address.startswith("../") or (FILES / address).is_file(), address


def test_the_page_has_no_script_and_no_style_within_it() -> None:
    page = (FILES / "index.html").read_text()
    assert re.findall(r"<script[^>]*>", page) == ['<script type="module" src="main.js">']
    assert "<style" not in page
    assert not re.search(r"\s(?:style|on[a-z]+)=", page)


def test_no_module_is_left_over() -> None:
    imported = {name for path in OWN for name in re.findall(r'from "\./([\w-]+\.js)"', path.read_text())}
    assert imported | {"main.js"} == SCRIPTS


def test_every_field_of_the_page_has_a_label() -> None:
    page = (FILES / "index.html").read_text()
    fields = re.findall(r"<(?:input|select|textarea)[^>]*>", page)
    assert fields
    for field in fields:
        start = page.index(field)
        own_id = re.search(r'\sid="([^"]*)"', field)
        is_within = page.rfind("<label", 0, start) > page.rfind("</label>", 0, start)
        assert is_within or (own_id and f'for="{own_id[1]}"' in page), field


def test_what_is_vendored_is_small_licensed_and_named_with_its_version() -> None:
    vendored = list((FILES / "vendor").iterdir())
    assert sum(path.stat().st_size for path in vendored) < MAX_VENDORED_BYTES
    told = (FILES / "vendor" / "README.md").read_text()
    assert all(f"`{path.name}`" in told for path in vendored if path.name != "README.md")
    version = re.search(r"/uPlot \(v([\d.]+)\)", (FILES / "vendor" / "uplot.js").read_text())
    assert version
    assert f"| {version[1]} |" in told
