"""What does not reach the log."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from service.api.log import leave_out_client_errors, log_failed_callbacks, log_news, log_once

BENTOML, UVICORN = "bentoml._internal.server.http_app", "uvicorn.error"


class Form(BaseModel):
    """A form."""

    number: int


@pytest.fixture(autouse=True)
def _filters() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (BENTOML, UVICORN)]
    before = [list(logger.filters) for logger in loggers]
    leave_out_client_errors()
    yield
    for logger, filters in zip(loggers, before, strict=True):
        logger.filters = filters


def test_news_of_the_service_are_logged_where_others_only_warn(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = logging.getLogger("service")
    monkeypatch.setattr(ours, "level", logging.NOTSET)
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    log_news()
    logging.getLogger("service.reload").info("a new version")
    logging.getLogger("another").info("nothing new")
    assert caplog.messages == ["a new version"]


def test_failed_callbacks_are_logged_though_bentoml_has_configured_logging(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("asyncio"), "disabled", True)  # as dictConfig leaves it
    log_failed_callbacks()
    loop = asyncio.new_event_loop()
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(lambda: logging.getLogger("asyncio").warning("socket.send() raised exception."))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert [record.exc_info and type(record.exc_info[1]) for record in caplog.records] == [ZeroDivisionError]


def test_a_body_that_fails_validation_is_the_clients(caplog: pytest.LogCaptureFixture) -> None:
    for wrong in (lambda: Form.model_validate({}), lambda: 1 / 0):
        try:
            wrong()
        except (ValidationError, ZeroDivisionError):
            logging.getLogger(BENTOML).exception("failed")
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [ZeroDivisionError]


def test_a_handshake_that_was_refused_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(UVICORN)
    logger.error("ASGI callable returned without completing handshake.")
    logger.error("ASGI callable returned without starting response.")
    assert caplog.messages == ["ASGI callable returned without starting response."]


@pytest.mark.parametrize("has_handler", [True, False])
def test_a_line_of_uvicorns_is_written_once(has_handler: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: lines.append(record.getMessage()))
    logger, root = logging.getLogger(UVICORN), logging.getLogger()
    for each in (logger, root):
        monkeypatch.setattr(each, "handlers", [handler] if has_handler or each is root else [])
    monkeypatch.setattr(logger, "propagate", True)
    log_once()
    logger.warning("a connection ends")
    assert lines == ["a connection ends"]
