"""Answers of much text: compressed, and not sent again while they stay the same."""

import asyncio
import gzip
import hashlib
import re
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

LEVEL = 6

_GZIP = re.compile(r"(?:^|,)\s*gzip\s*(?:$|,|;\s*q=(?!0(?:\.0*)?\s*(?:$|,)))", re.IGNORECASE)  # not with q=0


def takes_gzip(headers: Headers) -> bool:
    """Whether a client takes a compressed answer."""
    return _GZIP.search(",".join(headers.getlist("accept-encoding"))) is not None


async def compressed(request: Request, response: Response) -> Response:
    """Compress a response if the client takes that. In a thread: 100 KB take milliseconds."""
    response.headers.add_vary_header("Accept-Encoding")
    if takes_gzip(request.headers) and response.body:
        response.body = await asyncio.to_thread(gzip.compress, bytes(response.body), LEVEL)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))
    return response


def revalidated(request: Request, content: bytes, media_type: str) -> Response:
    """Return content with an ETag, or a 304 if the client has the same content."""
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'  # weak: compressed or not, it is the same
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if "*" in known or etag.removeprefix("W/") in known:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
