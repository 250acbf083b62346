"""The playground on networks that delay, break and answer for the service, and in the company of other tabs."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Route, WebSocketRoute, expect

from tests.e2e.asking import ask
from tests.e2e.dead_spot import DeadSpot
from tests.e2e.judged import judged
from tests.e2e.server import Server
from tests.e2e.serving import serving
from tests.e2e.visitor import Visitor

pytestmark = pytest.mark.e2e
NO_SOCKET = "window.WebSocket = class { constructor() { setTimeout(() => this.onclose()); } };"


def test_a_gateway_that_answers_for_the_service_costs_no_session(visitor: Visitor, client: httpx.Client) -> None:
    visitor.page.add_init_script(NO_SOCKET)
    visitor.open()
    visitor.part("text").fill("warm")
    expect(visitor.part("step")).to_have_text("2")
    session_id = visitor.part("session").inner_text()

    def time_out(route: Route) -> None:
        """The step is taken, and the gateway says that it does not know."""
        route.fetch()
        route.fulfill(status=504, content_type="text/html", body="<h1>Gateway timeout</h1>")

    visitor.page.route("**/steps", time_out, times=1)
    visitor.part("text").fill("warmth")
    expect(visitor.part("step")).to_have_text("3")
    visitor.part("text").fill("warmth!")
    expect(visitor.part("step")).to_have_text("4")
    expect(visitor.part("session")).to_have_text(session_id)
    expect(visitor.part("judgement")).to_have_text(judged(client, "warmth!"))
    visitor.expect_refusal(504)


def test_a_page_that_was_open_before_the_service_was_begins_with_it(visitor: Visitor) -> None:
    visitor.page.route("**/models", lambda route: route.fulfill(status=502, body="Bad gateway"), times=1)
    visitor.open()
    expect(visitor.page.locator("#start-notice")).to_be_empty()
    visitor.expect_refusal(502)


SLOW_STEPS = """const ask = window.fetch;
window.fetch = async (url, options) => {
  const response = await ask(url, options);
  const late = (done, stop) => {
    setTimeout(done, 9000);
    options.signal.addEventListener("abort", () => stop(options.signal.reason));
  };
  if (String(url).endsWith("/steps")) await new Promise(late);
  return response;
};"""


def test_a_service_whose_answers_take_longer_than_the_first_patience_is_heard(
    visitor: Visitor, client: httpx.Client
) -> None:
    visitor.page.add_init_script(NO_SOCKET)
    visitor.page.add_init_script(SLOW_STEPS)
    visitor.open()
    visitor.part("text").fill("good")
    expect(visitor.part("judgement")).to_have_text(judged(client, "good"), timeout=40_000)  # 8 s, 1 s, 9 s
    expect(visitor.part("step")).to_have_text("2")


NO_STEPS = """const ask = window.fetch;
window.fetch = (url, options) => !String(url).endsWith("/steps") ? ask(url, options) : new Promise((_, stop) => {
  window.numSent = (window.numSent ?? 0) + 1;
  options.signal.addEventListener("abort", () => stop(options.signal.reason));
});"""


def test_inputs_that_take_long_to_upload_are_waited_for(visitor: Visitor) -> None:
    visitor.page.add_init_script(NO_STEPS)
    visitor.page.clock.install()
    visitor.open("forecast")
    expect(visitor.part("summary")).not_to_be_empty()
    put = "(box) => { box.value = '1234.5678 '.repeat(30_000); box.dispatchEvent(new Event('input')); }"
    visitor.page.locator("#forecast [name=readings]").evaluate(put)
    visitor.part("live").click()  # reads 18,000 at first, 180 KB: 11 s more than others
    visitor.page.wait_for_function("window.numSent")
    visitor.page.clock.fast_forward(10_000)
    visitor.page.wait_for_timeout(500)
    expect(visitor.part("notice")).to_be_empty()
    visitor.page.clock.fast_forward(9000)
    expect(visitor.part("notice")).to_contain_text("does not answer")


def lose_answers(visitor: Visitor, path: str, times: int) -> list[dict[str, Any]]:
    """Lose the answers to requests that the service takes. Returns those answers, as they come."""
    lost: list[dict[str, Any]] = []

    def lose(route: Route) -> None:
        lost.append(route.fetch().json())
        route.abort()

    visitor.page.route(path, lose, times=times)
    return lost


def forgive_losses(visitor: Visitor) -> None:
    """Take the browser's lines about lost answers out of its complaints."""
    visitor.complaints = [line for line in visitor.complaints if "net::ERR" not in line]


def test_a_session_whose_answer_is_lost_is_opened_once(visitor: Visitor) -> None:
    visitor.open()
    opened = lose_answers(visitor, "**/sessions", 2)
    visitor.part("text").fill("good")
    visitor.await_read("good")
    ids = {view["session_id"] for view in opened}
    assert (len(opened), ids) == (2, {visitor.storage("sentiment")["session"]["session_id"]})
    visitor.part("text").fill("")
    with visitor.page.expect_response("**/sessions/*"):
        visitor.part("again").click()
    visitor.part("text").fill("dull")
    visitor.await_read("dull")
    assert visitor.storage("sentiment")["session"]["session_id"] not in ids
    forgive_losses(visitor)


@pytest.fixture
def writer(visitor: Visitor) -> Visitor:
    """Somebody whose text has been written."""
    visitor.open("generation")
    visitor.page.locator("#generation form").get_by_label("Characters").fill("30")
    visitor.part("form").get_by_role("button", name="Write").click()
    expect(visitor.part("cards").locator("[data-role=notice]")).to_contain_text("Drawn with seed")
    return visitor


@pytest.mark.parametrize("is_reloaded", [False, True])
@pytest.mark.parametrize(("button", "path"), [("checkpoint", "**/checkpoints/**"), ("back", "**/rollback")])
def test_a_checkpoint_or_rollback_whose_answer_is_lost_counts_once(
    writer: Visitor, button: str, path: str, is_reloaded: bool
) -> None:
    text = writer.part("text").inner_text().replace("⚑", "")
    prompt = writer.storage("generation")[0]["text"][: writer.storage("generation")[0]["mark"]]
    lost = lose_answers(writer, path, 1)
    writer.part(button).click()
    expect(writer.part("cards").locator("[data-role=notice]")).to_contain_text("does not answer")
    assert len(lost) == 1
    if is_reloaded:
        writer.reload()
    writer.part("cards").locator("[data-role=go]").click()
    expect(writer.part("cards").locator("[data-role=notice]")).to_contain_text("Drawn with seed")
    (card,) = writer.storage("generation")
    kept = prompt if button == "back" else text
    assert (card["session"]["step"], card["mark"], card["asked"]) == (5, len(kept), None)
    assert card["text"].startswith(kept)
    assert len(card["text"]) > len(kept)
    forgive_losses(writer)


def test_a_fork_whose_answer_is_lost_is_made_once(writer: Visitor) -> None:
    lost = lose_answers(writer, "**/fork", 1)
    writer.part("fork").click()
    expect(writer.part("cards").locator("[data-role=notice]")).to_contain_text("does not answer")
    writer.part("fork").click()
    expect(writer.part("cards").locator("article")).to_have_count(2)
    expect(writer.part("cards").locator("[data-role=notice]", has_text="Drawn with seed")).to_have_count(2)
    assert writer.storage("generation")[1]["session"]["session_id"] == lost[0]["session_id"]
    forgive_losses(writer)


def test_a_connection_that_says_nothing_is_given_up(visitor: Visitor, client: httpx.Client) -> None:
    visitor.page.route_web_socket("**/stream", lambda _: None)
    visitor.open()
    visitor.part("text").fill("good")
    expect(visitor.part("judgement")).to_have_text(judged(client, "good"))
    expect(visitor.part("transport")).to_have_text("HTTP")


@pytest.fixture
def network(server: Server) -> Iterator[DeadSpot]:
    """A network between the browser and the service."""
    with serving(DeadSpot(server.port)) as network:
        yield network


def test_after_a_dead_spot_the_text_is_read_on_and_the_wait_is_told(
    network: DeadSpot, visit: Callable[..., Visitor], client: httpx.Client
) -> None:
    visitor = visit(network.url)
    visitor.open()
    visitor.part("text").fill("good")
    expect(visitor.part("judgement")).to_have_text(judged(client, "good"))
    session_id = visitor.part("session").inner_text()
    network.begin()
    visitor.part("text").fill("good film")
    expect(visitor.page.locator("#waiting")).to_have_text("Waiting for the service …")
    visitor.page.locator("#waiting").evaluate(
        """(place) => {
          window.numTold = 0;
          new MutationObserver(() => window.numTold++).observe(place, { childList: true });
        }"""
    )
    expect(visitor.part("notice")).to_contain_text("does not answer", timeout=40_000)  # WebSocket 8 s, HTTP 16 s
    assert visitor.page.evaluate("numTold") == 0
    network.end()
    expect(visitor.part("judgement")).to_have_text(judged(client, "good film"), timeout=30_000)
    expect(visitor.part("session")).to_have_text(session_id)
    expect(visitor.part("step")).to_have_text("3")
    expect(visitor.part("notice")).to_be_empty()
    expect(visitor.page.locator("#waiting")).to_be_empty()


def test_a_question_that_is_lost_on_its_way_is_given_up(network: DeadSpot, visit: Callable[..., Visitor]) -> None:
    visitor = visit(network.url)
    visitor.page.clock.install()
    visitor.open("tagging")
    expect(visitor.part("words")).not_to_be_empty()
    network.begin()
    visitor.part("go").click()
    expect(visitor.page.locator("#waiting")).to_have_text("Waiting for the service …")
    visitor.page.clock.fast_forward(60_000)  # the service may still answer
    expect(visitor.page.locator("#waiting")).not_to_be_empty()
    expect(visitor.part("notice")).to_be_empty()
    visitor.page.clock.fast_forward(15_000)
    expect(visitor.part("notice")).to_contain_text("does not answer")
    expect(visitor.page.locator("#waiting")).to_be_empty()
    network.end()
    press_until(visitor, visitor.part("go"), visitor.part("words"))
    expect(visitor.part("notice")).to_be_empty()


STALLED = """window.isStalled = true;
const ask = window.fetch;
window.fetch = async (url, options) => {
  const response = await ask(url, options);
  if (!window.isStalled || !options.body?.includes('"stream":true')) return response;
  const reader = response.body.getReader();
  let hasText = false;
  const pull = async (stream) => {
    if (hasText) await new Promise((_, stop) => options.signal.addEventListener("abort", () => stop(REASON)));
    const { value } = await reader.read();
    hasText = new TextDecoder().decode(value).includes("event: text");
    stream.enqueue(value);
  };
  return new Response(new ReadableStream({ pull }), response);
};"""


@pytest.mark.parametrize("reason", ["options.signal.reason", "new DOMException('Fetch is aborted', 'AbortError')"])
def test_a_text_that_stops_coming_is_given_up_and_can_be_continued(visitor: Visitor, reason: str) -> None:
    visitor.page.add_init_script(STALLED.replace("REASON", reason))
    visitor.page.clock.install()
    visitor.open("generation")
    visitor.page.locator("#generation form").get_by_label("Characters").fill("4096")
    visitor.part("form").get_by_role("button", name="Write").click()
    expect(visitor.part("cards").locator("ins")).not_to_be_empty()
    expect(visitor.page.locator("#waiting")).to_have_text("Waiting for the service …")
    visitor.page.clock.fast_forward(20_000)
    expect(visitor.part("notice").first).to_contain_text("does not answer")
    (card,) = visitor.storage("generation")
    assert (card["session"]["step"], card["asked"]["generate"]["max_tokens"]) == (2, 4096)
    visitor.page.evaluate("window.isStalled = false")
    visitor.part("cards").locator("[data-role=go]").click()
    told = visitor.part("cards").locator("[data-role=notice]", has_text="Drawn with seed")
    expect(told).to_be_visible(timeout=60_000)
    (card,) = visitor.storage("generation")
    assert (card["session"]["step"], card["asked"]) == (3, None)


def press_until(visitor: Visitor, button: Locator, shown: Locator) -> None:
    """Press a button until its request goes over a new connection: the browser keeps several, and all may be dead."""
    for _ in range(8):
        button.click()
        with contextlib.suppress(AssertionError):
            expect(shown).to_be_visible(timeout=8000)
            return
        visitor.page.clock.fast_forward(75_000)
    pytest.fail("every connection is dead")


def test_half_a_character_holds_nothing_up(visitor: Visitor, client: httpx.Client) -> None:
    visitor.open()
    put = "(box, text) => { box.value = text; box.dispatchEvent(new Event('input')); }"
    visitor.part("text").evaluate(put, "good \ud83d")
    expect(visitor.part("judgement")).to_have_text(judged(client, "good \ufffd"))
    visitor.part("text").evaluate(put, "good 😀!")
    visitor.await_read("good 😀!")
    expect(visitor.part("judgement")).to_have_text(judged(client, "good 😀!"))


def test_a_new_session_is_not_told_of_the_end_of_the_old(visitor: Visitor, client: httpx.Client) -> None:
    held: list[tuple[WebSocketRoute, str | bytes]] = []

    def hold(socket: WebSocketRoute) -> None:
        service = socket.connect_to_server()
        socket.on_message(lambda message: held.append((service, message)))

    visitor.page.route_web_socket("**/stream", hold)
    visitor.open()
    visitor.part("text").fill("good")
    expect(visitor.part("session")).to_have_text("none yet")
    visitor.page.wait_for_function("() => JSON.parse(localStorage['unrolled.sentiment'] ?? '{}').asked")
    session_id = visitor.storage("sentiment")["session"]["session_id"]
    visitor.page.wait_for_timeout(200)
    with visitor.page.expect_response("**/sessions/*"):
        visitor.part("again").click()
    for service, message in held:
        service.send(message)
    held.clear()
    visitor.page.unroute_all()
    visitor.page.wait_for_timeout(500)
    assert client.get(f"/sessions/{session_id}").status_code == 410
    expect(visitor.part("notice")).to_be_empty()


def test_a_text_whose_answer_ends_early_is_told_again(visitor: Visitor) -> None:
    visitor.open("generation")
    visitor.page.locator("#generation form").get_by_label("Characters").fill("30")

    cut: list[Route] = []

    def lose_end(route: Route) -> None:
        """The first text is written and its step taken, and the end of the answer is lost."""
        if cut or '"stream":true' not in (route.request.post_data or ""):
            route.continue_()
            return
        cut.append(route)
        answered = route.fetch()
        route.fulfill(response=answered, body=answered.text().partition("event: done")[0])

    visitor.page.route("**/steps", lose_end)
    visitor.part("form").get_by_role("button", name="Write").click()
    expect(visitor.part("notice").first).to_contain_text("Try again")
    visitor.part("cards").locator("[data-role=go]").click()
    expect(visitor.part("cards").locator("[data-role=notice]")).to_contain_text("Drawn with seed")
    (card,) = visitor.storage("generation")
    assert (card["session"]["step"], card["asked"]) == (3, None)


def test_of_two_tabs_on_one_session_one_begins_another(visit: Callable[..., Visitor], server: Server) -> None:
    one = visit(server.url)
    one.open()
    one.part("text").fill("good")
    expect(one.part("step")).to_have_text("2")
    session_id = one.part("session").inner_text()
    with httpx.Client(base_url=server.url) as other:
        ask(other, f"/sessions/{session_id}/steps", {"step": 2, "inputs": {"text": " for others"}})
    one.part("text").fill("good for me")
    expect(one.part("notice")).to_contain_text("Step conflict")
    one.await_read("good for me")
    expect(one.part("session")).not_to_have_text(session_id)


def test_a_service_that_is_away_is_told_of_once_and_a_text_that_it_left_is_written_again(
    tmp_path: Path, visit: Callable[..., Visitor]
) -> None:
    with Server(tmp_path) as server:
        visitor = visit(server.url)
        visitor.open("generation")
        visitor.page.locator("#generation form").get_by_label("Characters").fill("4096")
        visitor.part("form").get_by_role("button", name="Write").click()
        expect(visitor.part("cards").locator("ins")).not_to_be_empty()
        server.kill()
        expect(visitor.part("notice").first).to_contain_text("does not answer")
        visitor.show("sentiment")
        visitor.part("text").fill("warm")
        expect(visitor.part("notice")).to_contain_text("does not answer")
        visitor.part("notice").evaluate(
            """(notice) => {
              window.numTold = 0;
              new MutationObserver(() => window.numTold++).observe(notice, { childList: true, subtree: true });
            }"""
        )
        visitor.page.wait_for_timeout(2500)
        assert visitor.page.evaluate("numTold") == 0
        server.start()
        expect(visitor.part("step")).to_have_text("2")
        visitor.show("generation")
        visitor.part("cards").locator("[data-role=go]").click()
        expect(visitor.part("cards").locator("[data-role=notice]")).to_contain_text("Drawn with seed")
        (card,) = visitor.storage("generation")
        assert card["session"]["step"] == 3
        visitor.complaints = [line for line in visitor.complaints if "net::ERR" not in line]


def test_the_page_at_the_root_asks_a_question_as_its_policy_allows(visitor: Visitor) -> None:
    visitor.page.goto(f"{visitor.url}/")
    path = visitor.page.locator('[data-path="/sentiment"]')
    question = visitor.page.locator(".opblock-post").filter(has=path)
    question.locator(".opblock-summary-control").click()
    question.locator(".try-out__btn").click()
    question.locator(".execute").click()
    expect(question.locator("tbody td.response-col_status").first).to_have_text("200")
