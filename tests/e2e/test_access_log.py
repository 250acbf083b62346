"""The access log of a whole service: what both ports answered, by the requests' ids, and a stream."""

import re
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.e2e.asking import http_client, open_session, step
from tests.e2e.server import Server
from tests.waiting import until

pytestmark = pytest.mark.e2e
LINE = re.compile(r'\[INFO\] \[\S+\] 127\.0\.0\.1 "((?:POST|WS) \S+" \d+)(?: \d+ bytes)? \d+\.\d ms(.*)')


def test_each_request_is_a_line(tmp_path: Path) -> None:
    expected = []
    with Server(tmp_path, settings={"UNROLLED_ACCESS_LOG": "1"}) as server:
        for number, url in enumerate((server.url, server.fast_url)):
            request_id = f", request {number}"
            with http_client(url, headers={"X-Request-ID": str(number)}) as client:
                session_id = open_session(client, "generation")
                step(client, session_id, {"ids": [1]})
            expected += [('POST /sessions" 201', request_id), (f'POST /sessions/{session_id}/steps" 200', request_id)]
        with connect(server.stream_url, proxy=None):
            pass
        expected.append(('WS /stream" 101', ""))
        until(lambda: LINE.findall(server.log.read_text()) == expected, 10, "the lines")
