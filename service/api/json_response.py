"""Documents as JSON responses."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from service.api.media_types import JSON


def json_response(
    document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None, media_type: str = JSON
) -> Response:
    """Return a document as a response."""
    return Response(orjson.dumps(document), status_code=status, media_type=media_type, headers=headers)
