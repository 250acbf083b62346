"""The playground at `/ui/`: a page that calls the service as any client does.

Its files contain no secrets, so they are served without a key; the page's own requests need one if keys are set. It
loads nothing from elsewhere, which its Content-Security-Policy enforces. All its addresses are relative, so it works
under any prefix that a proxy adds.
"""

import asyncio
import gzip
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from service.api.endpoints import PLAYGROUND
from service.api.large_texts import takes_gzip
from service.api.routes import routes_of

UI = PLAYGROUND.path
FILES = Path(__file__).parents[1] / "ui"
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # cached, but revalidated by its ETag
}


class PageFiles(StaticFiles):
    """Files with the headers of the page."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file at its one address, to which the page's relative addresses refer.

        Raises:
            HTTPException: There is no such file, or it was requested at another address.
        """
        if scope["path"] not in {f"{scope['root_path']}/{rest}" for rest in ("", path)}:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        response = await super().get_response(path, scope)
        asked = Headers(scope=scope)
        if isinstance(response, FileResponse) and takes_gzip(asked) and "range" not in asked:
            response = await _compressed(response)
        response.headers.update(HEADERS)
        return response

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return a file with the ETag of its content, since all files of an image have the same time."""
        found = FileResponse(full_path, status_code=status_code, stat_result=stat_result)
        found.headers["ETag"] = etag = _etag(*_version(full_path))
        is_same = self.is_not_modified(found.headers, Headers(scope=scope))
        found.headers.update({"ETag": f"W/{etag}", "Vary": "Accept-Encoding"})  # compressed or not, it has the same tag
        return NotModifiedResponse(found.headers) if is_same else found


def _version(path: str | os.PathLike[str]) -> tuple[str, int, int]:
    stat = Path(path).stat()
    return os.fspath(path), stat.st_mtime_ns, stat.st_size


async def _compressed(found: FileResponse) -> Response:
    """Return a file in gzip. In a thread, where it is compressed once."""
    content = await asyncio.to_thread(_gzipped, *_version(found.path))
    found.headers.update({"Content-Encoding": "gzip", "Content-Length": str(len(content))})
    return Response(content, status_code=found.status_code, headers=found.headers)


@cache
def _etag(path: str, *_: int) -> str:
    return f'"{hashlib.sha256(Path(path).read_bytes()).hexdigest()[:32]}"'


@cache
def _gzipped(path: str, *_: int) -> bytes:
    return gzip.compress(Path(path).read_bytes())


def playground_routes() -> list[BaseRoute]:
    """The routes of the page."""
    return [*routes_of({PLAYGROUND: _with_slash}), Mount(UI, PageFiles(directory=FILES, html=True))]


async def _with_slash(_: Request) -> Response:
    """Redirect to a relative address. Starlette's own redirect would drop a proxy's prefix."""
    return Response(status_code=307, headers={"Location": f".{UI}/", **HEADERS})
