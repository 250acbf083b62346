"""Which refusal an error is sent as, and what all forms of refusals have in common."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from starlette.responses import Response

from service.api.request_id import log_suffix
from service.errors import ServiceError, ShuttingDown

logger = logging.getLogger(__name__)

R = TypeVar("R")


def refusal_of(error: Exception) -> ServiceError:
    """Return the refusal to send for an error: itself, or `failure` if it is not a refusal."""
    return error if isinstance(error, ServiceError) else failure()


def not_ready() -> ServiceError:
    """Return the refusal for a readiness probe."""
    return ShuttingDown("not ready: the worker starts, is about to stop, or lost its store or port (see its log)")


def failure() -> ServiceError:
    """Return the refusal for an internal error, which gives no details."""
    return ServiceError("the service failed to answer; its log says why")


def refusal_headers(error: ServiceError) -> dict[str, str]:
    """Return a refusal's headers, besides those that describe its body."""
    retry = {} if error.retry_after_seconds is None else {"Retry-After": str(error.retry_after_seconds)}
    return {**error.headers, **retry}


def detail_of(status: int) -> str:
    """Return the detail of a refusal that only has a status."""
    if status >= 500:
        return str(failure())
    details = {
        307: "this path has no slash at its end",
        404: "there is nothing at this path",
        405: "this path does not take this method",
    }
    return details.get(status, HTTPStatus(status).phrase)


async def answer_or_refusal(
    handling: Awaitable[R], name: str, refused: Callable[[ServiceError], Response]
) -> R | Response:
    """Return a handler's answer, or its refusal. Any other error is logged with `name`, and sent without details."""
    try:
        return await handling
    except ServiceError as error:
        return refused(error.without_frames())
    except Exception:
        logger.exception("%s failed%s", name, log_suffix())
        return refused(failure())
