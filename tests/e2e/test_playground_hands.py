"""The playground in quick hands, at a keyboard, and among others' sessions."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Route, expect

from tests.e2e.asking import open_session
from tests.e2e.visitor import Visitor

pytestmark = pytest.mark.e2e
SLOW_AUDIO = """window.numPlayed = 0;
for (const [name, work] of [["resume", (own) => new Promise((done) => setTimeout(done, 500)).then(own)],
                            ["createDynamicsCompressor", (own) => (window.numPlayed++, own())]]) {
  const own = AudioContext.prototype[name];
  AudioContext.prototype[name] = function () { return work(own.bind(this)); };
}"""

COUNTED = """window.numWatching = 0;
window.ResizeObserver = class extends ResizeObserver {
  observe(place) { window.numWatching++; super.observe(place); }
  disconnect() { window.numWatching--; super.disconnect(); }
};"""


@pytest.fixture
def others(client: httpx.Client) -> Iterator[list[str]]:
    """More sessions of somebody else than one page of the list holds."""
    opened = [open_session(client, "sentiment") for _ in range(60)]
    yield opened
    for session_id in opened:
        client.delete(f"/sessions/{session_id}")


def test_two_strokes_on_a_slow_network_are_described_as_both(visitor: Visitor) -> None:
    visitor.open("caption")
    held: list[Route] = []
    visitor.page.route("**/caption", lambda route: held.append(route), times=1)
    paper = visitor.part("paper").bounding_box()
    assert paper is not None
    mouse = visitor.page.mouse
    for x0, y0, x1, y1 in [(0.3, 0.15, 0.75, 0.15), (0.75, 0.15, 0.45, 0.9)]:
        mouse.move(paper["x"] + x0 * paper["width"], paper["y"] + y0 * paper["height"])
        mouse.down()
        mouse.move(paper["x"] + x1 * paper["width"], paper["y"] + y1 * paper["height"], steps=4)
        mouse.up()
    visitor.page.wait_for_timeout(200)
    held[0].continue_()
    expect(visitor.part("caption")).to_contain_text("seven")
    visitor.page.route("**/caption", lambda route: held.append(route), times=1)
    visitor.part("go").click()
    visitor.part("clear").click()
    visitor.page.wait_for_timeout(200)
    held[1].continue_()
    expect(visitor.part("go")).to_be_enabled()
    expect(visitor.part("caption")).to_be_empty()


def test_who_presses_play_and_thinks_again_hears_nothing(visitor: Visitor) -> None:
    visitor.page.add_init_script(SLOW_AUDIO)
    visitor.open("music")
    expect(visitor.part("summary")).to_contain_text("seed")
    play = visitor.part("play")
    for _ in range(3):
        play.click()
    visitor.page.wait_for_timeout(1000)
    expect(play).to_have_text("Stop")
    play.click()
    expect(play).to_have_text("Play")
    assert visitor.page.evaluate("numPlayed") == 2  # the one that was stopped before it began, and this


def test_a_seed_may_begin_with_noughts(visitor: Visitor) -> None:
    visitor.open("music")
    form = visitor.page.locator("#music form")
    form.get_by_label("Bars").fill("1")
    for given, taken in [("007", "7"), ("000", "0")]:
        form.get_by_label("Seed").fill(given)
        visitor.part("go").click()
        expect(visitor.part("summary")).to_contain_text(f"seed {taken}.")


def test_the_keyboards_focus_stays_where_it_was(visitor: Visitor) -> None:
    visitor.open("tagging")
    expect(visitor.part("words").locator(".word").first).to_be_visible()
    expect(visitor.part("go")).to_be_enabled()
    with visitor.page.expect_response("**/tag"):
        visitor.part("go").press("Enter")
    expect(visitor.part("go")).to_be_enabled()
    expect(visitor.part("go")).to_be_focused()

    visitor.show("generation")
    length = visitor.page.locator("#generation form").get_by_label("Characters")
    length.fill("20")
    visitor.part("form").get_by_role("button", name="Write").click()
    notice = visitor.part("cards").locator("[data-role=notice]")
    expect(notice).to_contain_text("Drawn with seed")
    length.fill("4096")
    visitor.part("cards").locator("[data-role=go]").press("Enter")
    expect(visitor.part("stop")).to_be_focused()
    visitor.page.keyboard.press("Enter")
    expect(notice).to_contain_text("Stopped before its end")
    expect(visitor.part("cards").locator("[data-role=go]")).to_be_focused()


def test_a_chart_that_was_replaced_is_watched_no_more(visitor: Visitor) -> None:
    visitor.page.add_init_script(COUNTED)
    visitor.open("forecast")
    expect(visitor.part("summary")).to_contain_text("next reading")
    before = visitor.page.evaluate("numWatching")
    visitor.page.locator("#forecast form").get_by_label("Quantiles").fill("0.1 0.5 0.9")
    visitor.part("go").click()
    expect(visitor.part("summary")).to_contain_text("quantiles 0.1 and 0.9")
    assert visitor.page.evaluate("numWatching") == before


@pytest.mark.usefixtures("others")
def test_this_browsers_sessions_are_found_among_many_of_others(visitor: Visitor) -> None:
    visitor.open()
    visitor.part("text").fill("ok")
    expect(visitor.part("step")).to_have_text("2")
    session_id = visitor.part("session").inner_text()
    for _ in range(2):
        visitor.show("sessions")
        expect(visitor.page.locator(f'tr[data-session="{session_id}"]')).to_be_visible()


def test_everybodys_sessions_are_shown_in_pages_where_they_are_asked_for(visitor: Visitor, others: list[str]) -> None:
    visitor.open("sessions")
    visitor.part("own").uncheck()
    more = visitor.part("more")
    expect(more).to_be_visible()
    while more.is_visible():
        more.click()
        expect(more).to_be_enabled()
    listed = visitor.part("rows").locator("tr").evaluate_all("rows => rows.map((row) => row.dataset.session)")
    assert set(others) <= set(listed)
    assert len(set(listed)) == len(listed)


@pytest.mark.usefixtures("others")
def test_a_list_that_is_chosen_while_another_is_looked_up_is_the_one_that_is_shown(visitor: Visitor) -> None:
    visitor.open("sessions")
    expect(visitor.part("empty")).to_be_visible()
    held: list[Route] = []
    visitor.page.route("**/sessions?*", lambda route: held.append(route), times=1)
    visitor.part("own").uncheck()
    visitor.part("own").check()
    visitor.page.wait_for_timeout(100)
    held[0].continue_()
    expect(visitor.part("refresh")).to_be_enabled()
    expect(visitor.part("rows").locator("tr")).to_have_count(0)


def test_a_session_that_is_over_is_listed_no_more(visitor: Visitor, client: httpx.Client) -> None:
    visitor.open()
    visitor.part("text").fill("ok")
    expect(visitor.part("step")).to_have_text("2")
    client.delete(f"/sessions/{visitor.part('session').inner_text()}")
    visitor.show("sessions")
    expect(visitor.part("empty")).to_be_visible()
    visitor.expect_refusal(410)
    visitor.part("refresh").click()
    expect(visitor.part("empty")).to_be_visible()
