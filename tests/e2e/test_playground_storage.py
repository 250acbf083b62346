"""The playground where the browser keeps nothing, or no more, and where several people share one."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.server import Server
from tests.e2e.visitor import Visitor

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
