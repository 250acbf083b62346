"""Forms as JSON responses."""

from collections.abc import Mapping

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from service.api.media_types import JSON


def form_response(form: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a form as JSON, without the fields that are None."""
    content = orjson.dumps(form.model_dump(exclude_none=True))
    return Response(content, status_code=status, media_type=JSON, headers=headers)
