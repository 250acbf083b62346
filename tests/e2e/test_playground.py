"""The playground in a real browser, against the real service with the shipped models."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Route, expect

from service.keys.key_file import add_key
from tests.e2e.asking import ask
from tests.e2e.judged import judged
from tests.e2e.server import Server
from tests.e2e.visitor import Visitor
from tests.waiting import until

pytestmark = pytest.mark.e2e
TABS = ("sentiment", "generation", "music", "forecast", "translation", "tagging", "caption", "sessions")


@pytest.fixture(params=["BentoML's port", "the second port"])
def url(request: pytest.FixtureRequest, server: Server) -> str:
    """Both of the service's ports."""
    return server.url if request.param == "BentoML's port" else server.fast_url


def test_a_review_is_judged_as_it_is_typed_and_its_session_goes_on_after_a_reload(
    visit: Callable[..., Visitor], url: str, client: httpx.Client
) -> None:
    visitor = visit(url)
    visitor.open()
    box, verdict, step = visitor.part("text"), visitor.part("judgement"), visitor.part("step")
    box.press_sequentially("d")
    expect(step).to_have_text("2")  # the checkpoint, and the character
    for number, character in enumerate("ull", start=3):
        box.press_sequentially(character)
        expect(step).to_have_text(str(number))
    expect(verdict).to_have_text(judged(client, "dull"))
    box.press_sequentially(", wonderful")
    visitor.await_read("dull, wonderful")
    expect(verdict).to_have_text(judged(client, "dull, wonderful"))
    session_id, taken = visitor.part("session").inner_text(), int(step.inner_text())
    assert client.get(f"/sessions/{session_id}").json()["step"] == taken
    expect(visitor.part("chain").locator("li")).to_have_count(taken)
    expect(visitor.part("transport")).to_have_text("WebSocket")

    visitor.reload()
    expect(visitor.part("notice")).to_contain_text(f"the same session goes on at step {taken}")
    expect(visitor.part("session")).to_have_text(session_id)
    expect(box).to_have_value("dull, wonderful")
    box.press("End")
    box.press_sequentially("!")
    expect(step).to_have_text(str(taken + 1))
    assert client.get(f"/sessions/{session_id}").json()["step"] == taken + 1


def test_what_is_deleted_is_as_if_it_had_never_been_read(visitor: Visitor, client: httpx.Client) -> None:
    visitor.open()
    box, verdict, step = visitor.part("text"), visitor.part("judgement"), visitor.part("step")
    box.press_sequentially("a fine mess")
    visitor.await_read("a fine mess")
    expect(verdict).to_have_text(judged(client, "a fine mess"))
    session_id, taken = visitor.part("session").inner_text(), int(step.inner_text())
    for _ in range(4):
        box.press("Backspace")
    visitor.await_read("a fine ")
    expect(verdict).to_have_text(judged(client, "a fine "))
    expect(visitor.part("session")).to_have_text(session_id)
    assert int(step.inner_text()) >= taken + 2  # a rollback, and what is left
    box.fill("")
    expect(verdict).to_have_text("nothing read yet")
    box.fill("great")
    expect(verdict).to_have_text(judged(client, "great"))


def test_a_keystroke_whose_answer_was_lost_counts_once(visitor: Visitor, client: httpx.Client) -> None:
    visitor.open()
    visitor.part("text").fill("warm")
    expect(visitor.part("step")).to_have_text("2")
    kept = visitor.storage("sentiment")
    session_id = kept["session"]["session_id"]
    ask(client, f"/sessions/{session_id}/steps", {"step": 2, "inputs": {"text": "th"}})
    lost = {**kept, "asked": {"text": "th"}, "wanted": "warmth"}
    visitor.page.evaluate("(kept) => localStorage.setItem('unrolled.sentiment', JSON.stringify(kept))", lost)
    visitor.reload()
    expect(visitor.part("step")).to_have_text("3")
    expect(visitor.part("judgement")).to_have_text(judged(client, "warmth"))
    assert client.get(f"/sessions/{session_id}").json()["step"] == 3


def test_a_session_that_is_over_is_told_of_and_another_reads_the_text(visitor: Visitor, client: httpx.Client) -> None:
    visitor.open()
    visitor.part("text").fill("good")
    expect(visitor.part("step")).to_have_text("2")
    session_id = visitor.part("session").inner_text()
    client.delete(f"/sessions/{session_id}").raise_for_status()
    visitor.part("text").fill("good!")
    expect(visitor.part("notice")).to_contain_text("Session is over")
    expect(visitor.part("judgement")).to_have_text(judged(client, "good!"))
    expect(visitor.part("session")).not_to_have_text(session_id)


def test_a_text_grows_is_forked_and_taken_back(visitor: Visitor, client: httpx.Client) -> None:
    visitor.open("generation")
    form = visitor.page.locator("#generation form")
    form.get_by_label("Prompt").fill("ROMEO:\n")
    form.get_by_label("Characters").fill("80")
    form.get_by_label("Model").select_option("generation-mingru")
    visitor.part("form").get_by_role("button", name="Write").click()
    expect(visitor.part("cards").locator("[data-role=notice]")).to_contain_text("Drawn with seed")
    (card,) = visitor.storage("generation")
    assert card["text"].startswith("ROMEO:\n")
    assert (len(card["text"]), card["session"]["step"]) == (87, 3)

    visitor.part("fork").click()
    texts = visitor.part("cards").locator("pre")
    expect(texts).to_have_count(2)
    expect(visitor.part("cards").locator("[data-role=step]")).to_have_text(["5", "5"])
    one, other = visitor.storage("generation")
    assert one["text"][:87] == other["text"][:87] == card["text"]
    assert one["text"][87:] != other["text"][87:]

    first = visitor.part("cards").locator("article").first
    first.get_by_role("button", name="Back to checkpoint").click()
    expect(first.locator("[data-role=step]")).to_have_text("6")
    assert visitor.storage("generation")[0]["text"] == card["text"]
    first.get_by_role("button", name="Continue").click()
    expect(first.locator("[data-role=step]")).to_have_text("7")

    visitor.reload()
    expect(texts).to_have_count(2)
    expect(visitor.part("notice").first).to_contain_text("Welcome back")
    first.get_by_role("button", name="End").click()
    expect(texts).to_have_count(1)
    assert client.get(f"/sessions/{one['session']['session_id']}").status_code == 410


def test_a_text_that_is_stopped_is_not_committed_and_comes_again(visitor: Visitor, client: httpx.Client) -> None:
    visitor.open("generation")
    num_characters = visitor.page.locator("#generation form").get_by_label("Characters")
    num_characters.fill("4096")
    visitor.part("form").get_by_role("button", name="Write").click()
    expect(visitor.part("cards").locator("ins")).to_have_text(re.compile(r".{20}", re.DOTALL))
    begun = visitor.part("cards").locator("ins").inner_text()
    visitor.part("stop").click()
    notice = visitor.part("cards").locator("[data-role=notice]")
    expect(notice).to_contain_text("nothing of it was committed")
    (card,) = visitor.storage("generation")
    assert client.get(f"/sessions/{card['session']['session_id']}").json()["step"] == card["session"]["step"] == 2
    num_characters.fill("20")
    visitor.part("cards").locator("[data-role=go]").click()
    expect(notice).to_contain_text("Drawn with seed")
    assert visitor.storage("generation")[0]["text"] == card["text"] + begun[:20]


def test_words_have_their_tags_and_entities(visitor: Visitor) -> None:
    visitor.open("tagging")
    expect(visitor.part("words").locator(".word").first).to_have_text("AdaPROPN")
    visitor.page.locator("#tagging").get_by_label("Tags").select_option("entities")
    visitor.part("go").click()
    expect(visitor.part("words").locator(".word").first).to_have_text("Ada Lovelaceperson")
    assert visitor.part("words").inner_text().endswith("the first program.")


def test_a_translation_shows_where_it_looked(visitor: Visitor) -> None:
    visitor.open("translation")
    form = visitor.page.locator("#translation form")
    form.get_by_label("A caption").fill("Two dogs run in the snow.")
    form.get_by_label("Into").select_option("fr")
    visitor.part("go").click()
    expect(visitor.part("translation")).to_contain_text("Deux chiens")
    rows = visitor.part("attention").locator("tbody tr")
    expect(rows.first.locator("td")).to_have_count(7)
    expect(rows.last.locator("th")).to_have_text("end")
    form.get_by_label("Show where it looked").uncheck()
    visitor.part("go").click()
    expect(visitor.part("attention")).to_be_empty()


def test_pasted_readings_are_forecast(visitor: Visitor) -> None:
    visitor.open("forecast")
    expect(visitor.part("chart").locator("canvas")).to_be_visible()
    rows = "\n".join(f"2026-01-{1 + hour // 24:02} {hour % 24:02}:00,{20 + hour % 24},{hour % 7}" for hour in range(96))
    form = visitor.page.locator("#forecast form")
    form.get_by_label("Readings").fill(f"time,porch,hall\n{rows}")
    form.get_by_label("Column").select_option("porch")
    form.get_by_label("Steps ahead").fill("12")
    visitor.part("go").click()
    expect(visitor.part("summary")).to_contain_text("porch: next reading")
    expect(visitor.part("chart")).to_have_attribute("aria-label", "96 readings and the 12 forecast after them")
    form.get_by_label("or a file").set_input_files(
        {"name": "hall.csv", "mimeType": "text/csv", "buffer": b"hall;porch\n" + b"1.5;x\n" * 40}
    )
    visitor.part("go").click()
    expect(visitor.part("summary")).to_contain_text("hall: next reading 1.50")
    form.get_by_label("Readings").fill("a word")
    visitor.part("go").click()
    expect(visitor.part("notice").first).to_contain_text("No readings")


def test_a_sensor_that_reports_one_reading_at_a_time_is_one_session(visitor: Visitor, client: httpx.Client) -> None:
    visitor.open("forecast")
    form = visitor.page.locator("#forecast form")
    form.get_by_label("Readings").fill(" ".join(str(20 + hour % 24) for hour in range(100)))
    visitor.part("live").click()
    told = visitor.part("session")
    expect(told).to_have_text(re.compile(r"step ([3-9]|\d\d) "))
    found = re.fullmatch(r"session (\S+) · step (\d+) · state [\d.]+ KB · (\d+) readings read", told.inner_text())
    assert found
    session_id, step, num_readings = found.groups()
    assert int(num_readings) == 60 + int(step) - 1  # all but the first step have read one
    visitor.part("live").click()
    expect(visitor.part("live")).to_have_text("One at a time")
    until(lambda: client.get(f"/sessions/{session_id}").status_code == 410, 10, "the session has ended")


def test_a_sensor_that_is_stopped_while_its_session_is_opened_does_not_start(
    visitor: Visitor, client: httpx.Client
) -> None:
    visitor.open("forecast")
    held: list[Route] = []
    visitor.page.route("**/sessions", lambda route: held.append(route))
    with visitor.page.expect_request("**/sessions"):
        visitor.part("live").click()
    visitor.part("go").click()  # the whole forecast, which stops the sensor
    expect(visitor.part("summary")).to_contain_text("next reading")
    with visitor.page.expect_response("**/sessions") as opened:
        held[0].continue_()
    session_id = opened.value.json()["session_id"]
    until(lambda: client.get(f"/sessions/{session_id}").status_code == 410, 10, "the session has ended")
    expect(visitor.part("live")).to_have_text("One at a time")
    expect(visitor.part("session")).to_be_empty()


def test_a_sensor_that_is_stopped_while_its_step_is_under_way_ends_behind_it(
    visitor: Visitor, client: httpx.Client
) -> None:
    visitor.open("forecast")
    visitor.part("live").click()
    told = visitor.part("session")
    expect(told).to_have_text(re.compile(r"step [2-9] "))
    held: list[Route] = []
    visitor.page.route("**/sessions/*/steps", lambda route: held.append(route))
    visitor.page.wait_for_event("request", lambda request: request.url.endswith("/steps"))
    visitor.part("live").click()
    expect(visitor.part("live")).to_have_text("One at a time")
    session_id = told.inner_text().split()[1]
    assert client.get(f"/sessions/{session_id}").status_code == 200
    held[0].continue_()
    until(lambda: client.get(f"/sessions/{session_id}").status_code == 410, 10, "the session has ended")
    expect(visitor.part("notice")).to_be_empty()


def test_a_piece_is_composed_played_and_saved(visitor: Visitor, client: httpx.Client) -> None:
    visitor.open("music")
    form = visitor.page.locator("#music form")
    form.get_by_label("Model").select_option("folk")
    form.get_by_label("Bars").fill("2")
    form.get_by_label("Seed").fill("9007199254740993")  # more than a browser's numbers tell apart
    visitor.part("go").click()
    expect(visitor.part("summary")).to_contain_text("seed 9007199254740993")
    question = {"notes": [["D4"]], "model": "folk", "bars": 2, "tempo": 96, "seed": 9007199254740993}
    expected = ask(client, "/compose", question)
    expect(visitor.page.locator("svg .note")).to_have_count(len(expected["notes"]))
    with visitor.page.expect_download() as download:
        visitor.part("midi").click()
    assert Path(download.value.path()).read_bytes().startswith(b"MThd")
    visitor.part("play").click()
    expect(visitor.part("play")).to_have_text("Stop")
    visitor.part("play").click()
    expect(visitor.part("play")).to_have_text("Play")
    visitor.part("on").click()
    expect(visitor.page.locator("svg")).to_have_attribute("aria-label", re.compile("in 16.5 quarter notes"))


def test_a_digit_that_is_drawn_is_described(visitor: Visitor) -> None:
    visitor.open("caption")
    paper = visitor.part("paper").bounding_box()
    assert paper is not None
    mouse = visitor.page.mouse
    middle = paper["x"] + paper["width"] / 2
    mouse.move(middle, paper["y"] + 40)
    mouse.down()
    mouse.move(middle, paper["y"] + paper["height"] - 40, steps=5)
    mouse.up()
    expect(visitor.part("caption")).to_contain_text("one")
    expect(visitor.part("pixels").locator("i")).to_have_count(64)
    visitor.page.get_by_role("button", name="Draw the digit 7").click()
    expect(visitor.part("caption")).to_contain_text("seven")


def listed_session(visitor: Visitor) -> tuple[str, Locator]:
    """Read a text, and return the session that did and its row in the list."""
    visitor.open()
    visitor.part("text").fill("ok")
    expect(visitor.part("step")).to_have_text("2")
    session_id = visitor.part("session").inner_text()
    visitor.show("sessions")
    return session_id, visitor.page.locator(f'tr[data-session="{session_id}"]')


def test_sessions_are_listed_looked_at_and_ended(visitor: Visitor, client: httpx.Client) -> None:
    session_id, row = listed_session(visitor)
    expect(row).to_contain_text("sentiment")
    expect(visitor.part("rows").locator("tr")).to_have_count(1)
    row.get_by_role("button", name="Look").click()
    expect(row.locator("pre")).to_contain_text('"step": 2')
    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    expect(visitor.part("empty")).to_be_visible()
    expect(visitor.part("table")).to_be_hidden()
    assert client.get(f"/sessions/{session_id}").status_code == 410


def test_a_session_that_has_ended_elsewhere_leaves_the_list_when_it_is_deleted(
    visitor: Visitor, client: httpx.Client
) -> None:
    session_id, row = listed_session(visitor)
    expect(row).to_be_visible()
    client.delete(f"/sessions/{session_id}").raise_for_status()
    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    visitor.expect_refusal(410)


def test_a_refusal_is_told_where_it_happened(visitor: Visitor) -> None:
    visitor.open("generation")
    visitor.page.locator("#generation form").get_by_label("Prompt").fill("42")
    visitor.part("form").get_by_role("button", name="Write").click()
    told = visitor.part("notice").first
    expect(told).to_contain_text("Invalid input (422)")
    expect(told).to_contain_text("character '4' at position 0 is not one the model knows")
    visitor.show("caption")
    visitor.part("go").click()
    expect(visitor.part("notice")).to_contain_text("(422)")
    visitor.expect_refusal(422)


def test_nothing_is_wider_than_a_telephone(visit: Callable[..., Visitor], server: Server) -> None:
    visitor = visit(server.url, width=380)
    visitor.open()
    for tab in TABS:
        visitor.show(tab)
        expect(visitor.page.locator(f"#{tab}")).to_be_visible()
        assert visitor.page.evaluate("() => document.documentElement.scrollWidth") <= 380, tab


def test_tabs_are_walked_by_keyboard(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.locator("#tab-sentiment").focus()
    visitor.page.keyboard.press("ArrowRight")
    expect(visitor.page.locator("#generation")).to_be_visible()
    expect(visitor.page.locator("#tab-generation")).to_be_focused()
    visitor.page.keyboard.press("End")
    expect(visitor.page.locator("#sessions")).to_be_visible()


def test_with_a_key_a_session_goes_on_after_the_service_was_started_again(
    tmp_path: Path, visit: Callable[..., Visitor]
) -> None:
    token = add_key(tmp_path / "keys", "ada")
    server = Server(tmp_path, settings={"UNROLLED_API_KEYS": str(tmp_path / "keys")})
    with server:
        visitor = visit(server.url)
        visitor.page.goto(f"{server.url}/ui")
        key = visitor.page.get_by_label("This service needs an API key")
        key.fill("unr_a_b")
        key.press("Enter")
        expect(key).to_be_visible()
        key.fill(token)
        key.press("Enter")
        visitor.await_ready()
        expect(key).to_be_hidden()
        visitor.expect_refusal(401)
        visitor.part("text").fill("so warm")
        expect(visitor.part("step")).to_have_text("2")
        expect(visitor.part("transport")).to_have_text("WebSocket")
        assert token not in str(visitor.page.evaluate("() => ({...localStorage})"))
        server.kill()
        visitor.part("text").fill("so warm!")
        expect(visitor.part("notice")).to_contain_text("The service does not answer")
        server.start()
        expect(visitor.part("step")).to_have_text("3")
        visitor.complaints = [line for line in visitor.complaints if "ERR_CONNECTION" not in line]
        visitor.reload()
        expect(visitor.part("notice")).to_contain_text("the same session goes on at step 3")
