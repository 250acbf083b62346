"""What BentoML logs of its own accord, without what a client did wrong."""

import logging

from pydantic import ValidationError

_BENTOML_LOGGER = "bentoml._internal.server.http_app"


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether an exception is the service's own. A body that fails validation is the client's, and is answered."""
    return not (record.exc_info and isinstance(record.exc_info[1], ValidationError))


def leave_out_client_errors() -> None:
    """Keep bodies that fail validation out of the log: they would flood it, with the clients' own texts."""
    logging.getLogger(_BENTOML_LOGGER).addFilter(_is_ours)
