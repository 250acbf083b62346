"""What is logged: news of the service, failures of its event loop, each line of BentoML and uvicorn once, and no
mistakes of clients.
"""

import logging

from pydantic import ValidationError

_BENTOML_LOGGER = "bentoml._internal.server.http_app"
_UVICORN_LOGGER = "uvicorn.error"
_CLIENT_HAS_GONE = "socket.send() raised exception"
# Logged after a refused handshake, and after a response that a slow client did not read to its end: both on purpose.
_ENDED_EARLY = "ASGI callable returned without completing"


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether an exception is the service's own. A body that fails validation is the client's, and is answered."""
    return not (record.exc_info and isinstance(record.exc_info[1], ValidationError))


def _is_reported(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_ENDED_EARLY)


def log_news() -> None:
    """Log what the service itself says of its bundles and keys. BentoML logs warnings of others only."""
    logging.getLogger("service").setLevel(logging.INFO)


def log_failed_callbacks() -> None:
    """Log exceptions that nobody else can handle, those of callbacks and forgotten tasks.

    BentoML configures logging when asyncio's logger exists already, which disables it.
    """
    logger = logging.getLogger("asyncio")
    logger.disabled = False
    logger.addFilter(lambda record: not record.getMessage().startswith(_CLIENT_HAS_GONE))


def log_once() -> None:
    """Write each of uvicorn's lines once: BentoML adds its handler to that logger and to its parent."""
    logger = logging.getLogger(_UVICORN_LOGGER)
    logger.propagate = not logger.handlers


def leave_out_client_errors() -> None:
    """Keep clients' mistakes out of the log: they could flood it, with texts of their own."""
    logging.getLogger(_BENTOML_LOGGER).addFilter(_is_ours)
    logging.getLogger(_UVICORN_LOGGER).addFilter(_is_reported)
