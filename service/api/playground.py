"""The playground at `/ui/`: a page that asks the service as any client does.

Its files hold no secrets, so that they are served without a key; what the page asks for needs one where keys are set.
It loads nothing from elsewhere, and its Content-Security-Policy sees to that. All addresses in it are relative, so that
it works below any prefix that a proxy adds.
"""

from collections.abc import Mapping
from pathlib import Path

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

UI = "/ui"
FILES = Path(__file__).parents[1] / "ui"
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # kept, but asked for again: the ETag tells whether it is still the same
}


class PageFiles(StaticFiles):
    """Files with the headers of the page."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or starlette's refusal."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def playground_routes() -> list[BaseRoute]:
    """What to mount. `/ui` leads on relatively: starlette's own redirect would drop a proxy's prefix."""
    with_slash = Response(status_code=307, headers={"Location": f".{UI}/", **HEADERS})
    return [Route(UI, with_slash, methods=["GET"]), Mount(UI, PageFiles(directory=FILES, html=True))]


def is_playground(path: str) -> bool:
    """Whether a path is the playground's."""
    return path == UI or path.startswith(f"{UI}/")
