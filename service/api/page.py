"""The API page at `/`: Swagger UI over `/docs.json`.

BentoML has such a page, whose assets this one takes; but that one brings Google's tag manager and an online validator
of documents along, which report the page's visitors and the served document to others. This one asks nobody but the
service.
"""

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PAGE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <title>Unrolled</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="./static_content/swagger-ui.css">
    <style>
      body { margin: 0; }
      nav { box-sizing: border-box; max-width: 1460px; margin: 0 auto; padding: 16px 20px 0; }
      nav { font: 14px sans-serif; color: #3b4151; }
      nav a { color: #4990e2; }
    </style>
  </head>
  <body>
    <nav><a href="./ui/">Playground</a>: try the models, and see sessions live between requests.</nav>
    <div id="swagger-ui"></div>
    <script src="./static_content/swagger-ui-bundle.js"></script>
    <script>
      SwaggerUIBundle({url: "./docs.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});
    </script>
  </body>
</html>
"""


class PageFirst:
    """Answers `/` with the page, before BentoML's application, which is given the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["path"] == "/" and scope["method"] in {"GET", "HEAD"}
        await (HTMLResponse(PAGE) if is_page else self._app)(scope, receive, send)
