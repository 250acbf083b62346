"""Who looks at the playground: a page of a real browser, and all that the browser has to complain of."""

import shutil
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect

from tests.waiting import until

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
REFUSED = "Failed to load resource: the server responded with a status of"
POLICY = "addEventListener('securitypolicyviolation', (event) => console.error('policy', event.violatedDirective))"
WAIT_MS = 15_000
expect.set_options(timeout=WAIT_MS)


def browser_path() -> str:
    """A browser of this machine; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("there is no chromium on PATH (apt-get install chromium)")
    return found


class Visitor:
    """A page, with a storage of its own.

    Attributes:
        complaints: Errors and warnings of its console, exceptions, violations of its policy, and requests to others.
    """

    def __init__(self, browser: Browser, url: str, width: int = 1200) -> None:
        self.url = url
        self.complaints: list[str] = []
        self._context = browser.new_context(viewport={"width": width, "height": 900})
        self._context.add_init_script(POLICY)
        self._context.set_default_timeout(WAIT_MS)
        self.page: Page = self._context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._see)

    def open(self, tab: str = "") -> None:
        """Look at a tab, and wait until the page knows what is served."""
        self.page.goto(f"{self.url}/ui#{tab}")
        self.await_ready()

    def reload(self) -> None:
        """Load the page again."""
        self.page.reload()
        self.await_ready()

    def await_ready(self) -> None:
        """Wait until the page has taken its sessions up again."""
        expect(self.page.locator("body")).to_have_attribute("data-state", "ready")

    def show(self, tab: str) -> None:
        """Choose a tab."""
        self.page.get_by_role("tab").and_(self.page.locator(f"#tab-{tab}")).click()

    def part(self, role: str) -> Locator:
        """A part of the panel that is shown."""
        return self.page.locator(f'section:not([hidden]) [data-role="{role}"]')

    def storage(self, name: str) -> Any:  # noqa: ANN401  whatever the page keeps
        """What the page keeps under a name."""
        return self.page.evaluate("(name) => JSON.parse(localStorage.getItem(`unrolled.${name}`))", name)

    def await_read(self, text: str) -> None:
        """Wait until the session has read a text, as it stands in the box."""
        until(lambda: (self.storage("sentiment") or {}).get("read") == text, WAIT_MS / 1000, f"{text!r} is read")

    def leave(self) -> None:
        """Go. Whoever has seen a refusal that was to come has taken its line out of the complaints."""
        self._context.close()
        assert not self.complaints, self.complaints

    def expect_refusal(self, status: int) -> None:
        """Take the browser's own line about a refused request out of the complaints; there must be one."""
        refused = [line for line in self.complaints if line.startswith(f"error: {REFUSED} {status} ")]
        assert refused
        self.complaints = [line for line in self.complaints if line not in refused]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.url, f"blob:{self.url}", "data:image/")):
            self.complaints.append(f"asked somebody else: {request.url}")
