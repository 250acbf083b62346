"""Pages of other origins, in a real browser, against the real service."""

import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.asking import http_client
from tests.e2e.server import Server
from tests.e2e.visitor import browser_path

pytestmark = pytest.mark.e2e
# As JSON, which asks for leave first (a preflight), or as text, which does not.
POST = """async ([url, type]) => {
    const sent = {method: "POST", headers: {"Content-Type": type}, body: '{"model": "sentiment"}'};
    try { return (await fetch(url, sent)).headers.get("location"); } catch (error) { return error.name; }
}"""
CONNECT = """(url) => new Promise((done) => {
    const socket = new WebSocket(url);
    socket.onopen = () => { socket.close(); done("open"); };
    socket.onerror = () => done("refused");
})"""
REFUSED = "TypeError"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of another web server of this machine."""

    class Blank(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Blank) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        yield other.server_port
        other.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for which every name is one of this machine's."""
    arguments = ["--host-resolver-rules=MAP *.example 127.0.0.1"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser_path(), args=arguments)
        yield launched
        launched.close()


def test_a_page_of_another_origin_calls_only_if_it_is_listed(browser: Browser, elsewhere: int, tmp_path: Path) -> None:
    allowed = f"http://app.example:{elsewhere}"
    with Server(tmp_path, settings={"UNROLLED_ALLOWED_ORIGINS": allowed}) as server, http_client(server.url) as client:
        page = browser.new_page()
        for url in (server.url, server.fast_url):
            stream = url.replace("http", "ws") + "/stream"
            page.goto(f"http://evil.example:{elsewhere}")
            for kind in ("application/json", "text/plain"):
                assert page.evaluate(POST, [f"{url}/sessions", kind]) == REFUSED
            assert page.evaluate(CONNECT, stream) == "refused"
            assert client.get(f"{url}/sessions").json()["sessions"] == []
            page.goto(allowed)
            opened = page.evaluate(POST, [f"{url}/sessions", "application/json"])
            assert page.evaluate(CONNECT, stream) == "open"
            assert client.delete(f"{url}{opened}").status_code == 204


def test_a_page_whose_name_resolves_to_this_machine_reads_nothing(
    browser: Browser, server: Server, client: httpx.Client
) -> None:
    for url, port in ((server.url, server.port), (server.fast_url, server.fast_port)):
        assert not can_read(browser, f"http://evil.example:{port}/models")
        through_a_tunnel = {"Host": "evil.example:9999", "Origin": "http://evil.example:9999"}
        assert client.post(f"{url}/sentiment", json={"text": "Dull."}, headers=through_a_tunnel).status_code == 403


def test_nor_does_it_where_every_address_is_listened_on_and_published_here(browser: Browser, tmp_path: Path) -> None:
    settings = {
        "UNROLLED_HOST": "0.0.0.0",  # noqa: S104  as in a container
        "UNROLLED_ALLOW_UNAUTHENTICATED": "local",
        "UNROLLED_ALLOWED_ORIGINS": "http://unrolled.example:3000",
    }
    with Server(tmp_path, settings=settings) as server:
        for port in (server.port, server.fast_port):
            assert not can_read(browser, f"http://evil.example:{port}/models")
            assert can_read(browser, f"http://unrolled.example:{port}/metrics")
            assert can_read(browser, f"http://127.0.0.1:{port}/models")


def can_read(browser: Browser, url: str) -> bool:
    """Whether a page of that address is answered, and not refused for its name."""
    with browser.new_page() as page:
        answer = page.goto(url)
        assert answer is not None
        if answer.status == HTTPStatus.OK:
            return True
        assert (answer.status, answer.json()["type"]) == (403, "urn:unrolled:problem:host-not-allowed")
        return False
