"""What docs/browser.md shows: its JavaScript is run in a real browser, on one port, against the other one."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route

from service.api.stream import handshake, outbox, stream
from tests.e2e.asking import ask, last_step
from tests.e2e.server import Server
from tests.paths import DOCS

pytestmark = pytest.mark.e2e
DOCUMENT = (DOCS / "browser.md").read_text()
SCRIPT = "\n".join(re.findall(r"```js\n(.*?)```", DOCUMENT, re.DOTALL)).replace("export ", "")


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page of another origin that may call."""
    with browser.new_context() as context:
        opened = context.new_page()
        opened.goto(f"{server.url}/livez")
        yield opened


def run(page: Page, url: str, work: str, key: str = "") -> Any:  # noqa: ANN401  whatever the work returns
    """What some lines return that use those of the document."""
    return page.evaluate(
        f"async ([SERVICE, KEY]) => {{ {SCRIPT}\nconst told = (error) => ({{ ...error }});\n{work} }}", [url, key]
    )


def test_a_question_is_answered_and_a_refusal_tells_its_status(
    page: Page, server: Server, client: httpx.Client
) -> None:
    question = {"text": ["A wonderful, warm film."]}
    assert run(page, server.fast_url, 'return ask("/sentiment", { text: ["A wonderful, warm film."] })') == ask(
        client, "/sentiment", question
    )
    refused = run(page, server.fast_url, 'return ask("/sentiment", { texts: "" }).catch(told)')
    assert (refused["status"], refused["title"]) == (422, "Invalid input")


def test_an_answer_without_content_is_null(page: Page, server: Server) -> None:
    work = """
        const { session_id } = await Session.open("sentiment");
        return ask(`/sessions/${session_id}`, undefined, { method: "DELETE" });
    """
    assert run(page, server.fast_url, work) is None


def test_a_text_arrives_in_pieces_and_can_be_stopped(page: Page, server: Server) -> None:
    asked = '"/generate", { prompt: "ROMEO:", max_tokens: 200, seed: 7 }'
    pieces = run(page, server.fast_url, f"return Array.fromAsync(events({asked}))")
    whole = run(page, server.fast_url, f"return ask({asked})")
    assert "".join(data["text"] for name, data in pieces if name == "text") == whole["text"]
    assert [name for name, _ in pieces].index("done") == len(pieces) - 1 > 1
    stopped = """
        const session = await Session.open("generation"), controller = new AbortController();
        const path = `/sessions/${session.session_id}`, body = { step: 0, inputs: { generate: { max_tokens: 4096 } } };
        try {
          for await (const _ of events(`${path}/steps`, body, controller)) controller.abort();
        } catch (error) {
          return [error.name, (await ask(path, undefined, { method: "GET" })).step];
        }
    """
    assert run(page, server.fast_url, stopped) == ["AbortError", 0]


IMPATIENT = "const setTimeout = (work, ms) => window.setTimeout(work, ms / 10);"  # 2 s for 20


def test_a_caller_may_take_long_over_a_piece(page: Page, server: Server) -> None:
    work = """
        const names = [];
        for await (const [name] of events("/generate", { prompt: "ROMEO:", max_tokens: 200, seed: 7 })) {
          if (names.push(name) === 1) await new Promise((resolve) => window.setTimeout(resolve, 2500));
        }
        return names;
    """
    assert run(page, server.fast_url, IMPATIENT + work)[-1] == "done"


def test_a_text_that_stops_coming_is_not_taken_for_a_stopped_one(page: Page, server: Server) -> None:
    work = """
        const fetch = async (url, { signal }) => new Response(new ReadableStream({
          start: (stream) => signal.addEventListener("abort", () => stream.error(new DOMException("", "AbortError"))),
        }));
        return Array.fromAsync(events("/generate", {})).catch((error) => [error.name, error.message]);
    """
    assert run(page, server.fast_url, IMPATIENT + work) == ["Error", "nothing came for 20 seconds: ask again"]


def test_a_step_is_sent_again_until_it_is_answered_and_counts_once(
    page: Page, server: Server, client: httpx.Client
) -> None:
    sent: list[str | None] = []

    def lose(route: Route) -> None:
        """The first answer is lost, and in place of the second a gateway says that the service is busy."""
        sent.append(route.request.post_data)
        if len(sent) == 1:
            route.fetch()
            route.abort()
        elif len(sent) == 2:
            route.fulfill(status=503, body="busy", headers={"Access-Control-Allow-Origin": "*"})
        else:
            route.continue_()

    page.route("**/steps", lose)
    work = """
        const session = await Session.open("sentiment");
        const outputs = await session.take({ text: "good" });
        const path = `/sessions/${session.session_id}/steps`;
        const conflict = await ask(path, { step: 5, inputs: { text: "x" } }).catch(told);
        return [session.step, outputs, conflict.status, conflict.expected_step];
    """
    outputs = last_step(client, "sentiment", [{"text": "good"}])
    assert run(page, server.fast_url, work) == [1, outputs, 409, 1]
    assert len(set(sent[:3])) == 1


def test_a_text_is_read_as_it_is_typed_and_deleted(page: Page, server: Server, client: httpx.Client) -> None:
    work = """
        const typing = new Typing();
        for (const text of ["g", "good", "good fi", "good", ""]) await typing.follow(text);
        return [await typing.follow("dull"), typing.session.step];
    """
    outputs, steps = run(page, server.fast_url, work)
    assert outputs == last_step(client, "sentiment", [{"text": "dull"}])
    assert steps == 1 + 5 + 2  # the checkpoint, what was read, and two rollbacks


def test_typing_begins_anew_if_the_session_ends_before_its_checkpoint(
    page: Page, server: Server, client: httpx.Client
) -> None:
    gone = {"Access-Control-Allow-Origin": "*"}
    page.route("**/checkpoints/**", lambda route: route.fulfill(status=410, body="{}", headers=gone), times=1)
    work = """
        const typing = new Typing();
        const { status } = await typing.follow("dull").catch(told);
        return [status, await typing.follow("dull")];
    """
    assert run(page, server.fast_url, work) == [410, last_step(client, "sentiment", [{"text": "dull"}])]


CONNECTED = """
    const { session_id } = await ask("/sessions", { model: "sentiment" });
    return new Promise((resolve) => {
      const socket = connect(resolve, (...close) => resolve(close));
      socket.onopen = () => socket.send(JSON.stringify({ id: 7, session_id, step: 0, inputs: { text: "good" } }));
    });
"""


def test_steps_go_over_one_connection_with_a_key(browser: Browser, guarded: Server, tokens: dict[str, str]) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{guarded.url}/livez")
        answer = run(page, guarded.fast_url, CONNECTED, tokens["ann"])
        assert (answer["id"], answer["status"], answer["step"]) == (7, 200, 1)


@pytest.mark.parametrize(("key", "reason"), [("", "an API key is needed"), ("unr_x_y", "the API key is not valid")])
def test_a_page_is_told_that_its_key_is_not_valid(browser: Browser, guarded: Server, key: str, reason: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{guarded.url}/livez")
        for url in (guarded.url, guarded.fast_url):
            work = "return new Promise((resolve) => connect(resolve, (...close) => resolve(close)))"
            code, told = run(page, url, work, key)
            assert (code, told.startswith(reason)) == (1008, True)


@pytest.mark.parametrize("path", ["/generate", "/sessions/x/steps"])
def test_an_event_source_is_told_to_post(server: Server, path: str) -> None:
    for url in (server.url, server.fast_url):
        refused = httpx.get(url + path, headers={"Accept": "text/event-stream"})
        assert (refused.status_code, "POST" in refused.headers["allow"]) == (405, True)
        assert 'POST it with "stream": true' in refused.json()["detail"]


def test_what_is_large_and_changes_rarely_is_compressed_and_not_sent_again(server: Server) -> None:
    for url in (server.url, server.fast_url):
        for path in ("/models", "/docs.json", "/metrics", "/ui/main.js"):
            answer = httpx.get(url + path, headers={"Accept-Encoding": "gzip"})
            assert answer.headers["content-encoding"] == "gzip", path
            assert int(answer.headers["content-length"]) < len(answer.content) / 2
            plain = httpx.get(url + path, headers={"Accept-Encoding": "identity"})
            assert "content-encoding" not in plain.headers
            if path != "/metrics":
                assert plain.content == answer.content
                same = httpx.get(url + path, headers={"If-None-Match": answer.headers["etag"]})
                assert (same.status_code, same.content) == (304, b"")


def test_the_close_codes_that_the_service_sends_are_told() -> None:
    sent = {handshake.POLICY_VIOLATION, outbox.INTERNAL_ERROR, stream.SERVICE_RESTART, 1009}
    told = {int(code) for codes in re.findall(r"^\| ([\d, ]+) \|", DOCUMENT, re.MULTILINE) for code in codes.split(",")}
    assert sent <= told
