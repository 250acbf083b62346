"""What the playground shows where there is no answer: none of before, and where to go instead."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.asking import ask
from tests.e2e.server import Server
from tests.e2e.visitor import Visitor

pytestmark = pytest.mark.e2e


def field_of(visitor: Visitor, tab: str, label: str) -> Locator:
    """A field of a tab's form."""
    return visitor.page.locator(f"#{tab} form").get_by_label(label)


@pytest.mark.parametrize(
    ("tab", "label", "refused", "answer"),
    [
        ("translation", "A caption", "A dog runs in the snow. " * 20, "answer"),
        ("tagging", "A text", "x" * 1001, "words"),
        ("music", "Begins with", "C9", "piece"),
        ("forecast", "Quantiles", "0.001", "figure"),
    ],
)
def test_a_refused_question_leaves_no_answer_of_before(
    visitor: Visitor, tab: str, label: str, refused: str, answer: str
) -> None:
    visitor.open(tab)
    expect(visitor.part(answer)).not_to_be_empty()
    expect(visitor.part(answer)).to_be_visible()
    asked = field_of(visitor, tab, label)
    good = asked.input_value()
    asked.fill(refused)
    visitor.part("go").click()
    expect(visitor.part("notice").first).to_contain_text("(422)")
    expect(visitor.part(answer)).to_be_hidden()
    asked.fill(good)
    visitor.part("go").click()
    expect(visitor.part(answer)).to_be_visible()
    visitor.expect_refusal(422)


def test_a_digit_that_cannot_be_described_leaves_no_sentence_of_before(visitor: Visitor) -> None:
    visitor.open("caption")
    seven = visitor.page.get_by_role("button", name="Draw the digit 7")
    seven.click()
    expect(visitor.part("caption")).to_contain_text("seven")
    visitor.page.route("**/caption", lambda route: route.fulfill(status=503, json={"detail": "busy"}), times=1)
    seven.click()
    expect(visitor.part("notice")).to_contain_text("busy")
    expect(visitor.part("answer")).to_be_hidden()
    seven.click()
    expect(visitor.part("answer")).to_be_visible()
    visitor.expect_refusal(503)


def test_sessions_that_cannot_be_looked_up_are_not_shown_as_they_were(visitor: Visitor) -> None:
    visitor.open()
    visitor.part("text").fill("ok")
    expect(visitor.part("step")).to_have_text("2")
    visitor.show("sessions")
    expect(visitor.part("table")).to_be_visible()
    visitor.page.route("**/sessions/*", lambda route: route.fulfill(status=503, json={"detail": "busy"}), times=1)
    visitor.part("refresh").click()
    expect(visitor.part("table")).to_be_hidden()
    visitor.part("refresh").click()
    expect(visitor.part("table")).to_be_visible()
    visitor.expect_refusal(503)


def test_a_text_that_is_too_long_is_not_to_be_sent_as_a_list_which_the_page_has_not(visitor: Visitor) -> None:
    visitor.open("translation")
    field_of(visitor, "translation", "A caption").fill("A dog runs in the snow. " * 20)
    visitor.part("go").click()
    expect(visitor.part("notice")).to_contain_text("at once: translate its sentences one by one")
    expect(visitor.part("notice")).not_to_contain_text("list")
    visitor.expect_refusal(422)


def test_the_api_page_is_visited_where_it_is_and_else_is_told_of(visit: Callable[..., Visitor], server: Server) -> None:
    visitor = visit(server.url)
    visitor.open()
    visitor.page.get_by_role("link", name="API page").click()
    visitor.page.wait_for_url(f"{server.url}/")
    expect(visitor.page.get_by_role("navigation")).to_have_css("font-family", "sans-serif")
    visitor = visit(server.fast_url)
    visitor.open()
    link = visitor.page.get_by_role("link", name="API page")
    link.click()
    expect(visitor.page.locator("#start-notice")).to_contain_text("This port has no API page")
    expect(link).to_be_hidden()
    visitor.expect_refusal(404)


def test_a_sequence_whose_number_comes_from_the_clock_has_no_count_of_steps(
    visitor: Visitor, client: httpx.Client
) -> None:
    x = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [3]}
    begun = {"parameters": {"sequence_id": "a story", "sequence_start": True}, "inputs": [x]}
    session_id = ask(client, "/v2/models/generation/infer", begun)["parameters"]["session_id"]
    visitor.open()
    visitor.page.evaluate(
        """async (id) => (await import(new URL("memory.js", document.baseURI))).noteOpened(id)""", session_id
    )
    visitor.show("sessions")
    row = visitor.page.locator(f'tr[data-session="{session_id}"]')
    expect(row.locator('[data-label="Steps"]')).to_have_text("—")
    row.get_by_role("button", name="Look").click()
    expect(row.locator("pre")).to_contain_text(session_id)
    bottoms = row.locator("td").evaluate_all("(cells) => cells.map((cell) => cell.getBoundingClientRect().bottom)")
    assert len(set(bottoms)) == 1  # so that the line below the row is in one piece
    client.delete(f"/sessions/{session_id}")


def test_the_page_says_which_characters_a_prompt_may_have(visitor: Visitor) -> None:
    visitor.open("generation")
    known = "line break, space, ! $ & ' , - . 3 : ; ? A\u2013Z a\u2013z"
    expect(visitor.part("characters")).to_have_text(f"The model knows these characters only: {known}")
    prompt = field_of(visitor, "generation", "Prompt")
    expect(prompt).to_have_accessible_description(f"The model knows these characters only: {known}")
