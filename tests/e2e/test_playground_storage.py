"""The playground where the browser keeps nothing, or no more, and where several people share one."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from service.keys.key_file import add_key
from tests.e2e.server import Server
from tests.e2e.visitor import Visitor
from tests.waiting import until

pytestmark = pytest.mark.e2e
FORBIDDEN = """for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });"""
FULL = """Storage.prototype.setItem = function () { throw new DOMException("full", "QuotaExceededError"); };"""


@pytest.mark.parametrize("storage", [FORBIDDEN, FULL], ids=["forbidden", "full"])
def test_a_browser_that_keeps_nothing_still_has_its_text_read(
    visit: Callable[..., Visitor], server: Server, storage: str
) -> None:
    visitor = visit(server.url)
    visitor.page.add_init_script(storage)
    visitor.open()
    visitor.part("text").fill("good")
    expect(visitor.part("step")).to_have_text("2")
    visitor.part("text").fill("good!")
    expect(visitor.part("step")).to_have_text("3")
    visitor.show("sessions")
    expect(visitor.part("rows").locator("tr")).to_have_count(1)


def test_whoever_comes_with_another_key_sees_nothing_of_the_former_owners(
    tmp_path: Path, visit: Callable[..., Visitor]
) -> None:
    ada, bob = [add_key(tmp_path / "keys", owner) for owner in ("ada", "bob")]
    with Server(tmp_path, settings={"UNROLLED_API_KEYS": str(tmp_path / "keys")}) as server:
        visitor = visit(server.url)
        key = visitor.page.get_by_label("This service needs an API key")

        def come_with(token: str) -> None:
            key.fill(token)
            key.press("Enter")
            visitor.await_ready()

        visitor.page.goto(f"{server.url}/ui")
        come_with(ada)
        visitor.part("text").fill("my secret")
        expect(visitor.part("step")).to_have_text("2")
        session_id = visitor.part("session").inner_text()

        visitor.page.evaluate("sessionStorage.clear()")  # the tab is closed, and another opened
        visitor.page.reload()
        come_with(bob)
        expect(visitor.part("session")).to_have_text("none yet")
        expect(visitor.part("text")).to_have_value("")
        visitor.part("text").fill("mine")
        expect(visitor.part("step")).to_have_text("2")
        visitor.page.get_by_role("button", name="Leave").click()
        come_with(ada)
        expect(visitor.part("session")).to_have_text(session_id)
        expect(visitor.part("text")).to_have_value("my secret")
        assert "mine" not in str(visitor.page.evaluate("() => ({...localStorage})"))

        rows = (tmp_path / "keys").read_text().splitlines(keepends=True)
        (tmp_path / "keys").write_text("".join(row for row in rows if not row.startswith("ada:")))
        until(
            lambda: httpx.get(f"{server.url}/models", headers={"Authorization": f"Bearer {ada}"}).is_error, 10, "known"
        )
        visitor.show("sessions")
        come_with(bob)
        visitor.show("sentiment")
        expect(visitor.part("text")).to_have_value("")
        visitor.part("text").fill("of bob")
        expect(visitor.part("step")).to_have_text("2")
        visitor.expect_refusal(401)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("sentiment", "{}"),
        ("sentiment", "5"),
        ("generation", "{}"),
        ("generation", '[{"session": {}}]'),
        ("opened", "not"),
    ],
)
def test_what_another_version_has_kept_holds_nothing_up(visitor: Visitor, name: str, kept: str) -> None:
    visitor.open()
    visitor.page.evaluate("([name, kept]) => localStorage.setItem(`unrolled.${name}`, kept)", [name, kept])
    visitor.reload()
    visitor.part("text").fill("good")
    expect(visitor.part("step")).to_have_text("2")
    visitor.show("generation")
    visitor.page.locator("#generation form").get_by_label("Characters").fill("5")
    visitor.part("form").get_by_role("button", name="Write").click()
    expect(visitor.part("cards").locator("[data-role=notice]")).to_contain_text("Drawn with seed")
