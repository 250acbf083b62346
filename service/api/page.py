"""The API page at `/`: Swagger UI over `/docs.json`.

BentoML has such a page, and this one uses its assets. But BentoML's loads Google's tag manager and an online validator,
which report the page's visitors and the served document to others. This page loads nothing from elsewhere, which its
Content-Security-Policy enforces.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_STYLE = """
      body { margin: 0; }
      nav { box-sizing: border-box; max-width: 1460px; margin: 0 auto; padding: 16px 20px 0; }
      nav { font: 14px sans-serif; color: #3b4151; }
      nav a { color: #4990e2; }
    """
_SCRIPT = """
      SwaggerUIBundle({url: "./docs.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});
    """
PAGE = f"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <title>Unrolled</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="./static_content/swagger-ui.css">
    <style>{_STYLE}</style>
  </head>
  <body>
    <nav><a href="./ui/">Playground</a>: try the models, and see sessions live between requests.</nav>
    <div id="swagger-ui"></div>
    <script src="./static_content/swagger-ui-bundle.js"></script>
    <script>{_SCRIPT}</script>
  </body>
</html>
"""


def _hash(text: str) -> str:
    """Return how a Content-Security-Policy names an inline style or script."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": f"default-src 'self'; script-src 'self' {_hash(_SCRIPT)}; "
    f"style-src 'self' {_hash(_STYLE)}; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class PageFirst:
    """Answers `/` with the page, and passes everything else to BentoML's application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["path"] == "/" and scope["method"] in {"GET", "HEAD"}
        await (HTMLResponse(PAGE, headers=HEADERS) if is_page else self._app)(scope, receive, send)
