"""The log of a whole service that nobody reads."""

import os
import select
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.asking import http_client
from tests.e2e.conftest import SHARED
from tests.e2e.server import START_SECONDS, Server
from tests.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def home(small_home: Path, tmp_path: Path) -> Path:
    """With one small bundle."""
    return shutil.copytree(small_home, tmp_path, dirs_exist_ok=True)


def test_a_log_that_nobody_reads_stops_neither_answers_nor_replacements_nor_the_end(home: Path) -> None:
    os.mkfifo(home / "service.log")
    reader = os.open(home / "service.log", os.O_RDWR | os.O_NONBLOCK)
    settings = {**SHARED, "UNROLLED_ACCESS_LOG": "1", "UNROLLED_BUNDLES": "sentiment:latest"}
    with Server(home, settings=settings) as server:
        with suppress(BlockingIOError):
            while True:
                os.write(reader, b"x" * select.PIPE_BUF)
        before = {worker.pid for worker in server.workers()}
        for url in (server.url, server.fast_url):
            with http_client(url, timeout=10) as client:
                assert {client.get("/livez").status_code for _ in range(100)} == {200}
        server.workers()[0].kill()
        until(lambda: len({each.pid for each in server.workers()} - before) == 1, START_SECONDS, "another worker")
        assert server.stop() == 0
    os.close(reader)
