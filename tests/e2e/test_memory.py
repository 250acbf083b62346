"""Answers that are many times as large as what was asked do not take all memory, whoever reads them or does not."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.asking import http_client, open_session, step
from tests.e2e.server import Server
from tests.waiting import until

pytestmark = pytest.mark.e2e
MAX_ANSWER_BYTES = 64 * 2**20
NUM_CLIENTS = 16
IDS = [3] * 16_384  # of 65 logits each: as JSON eleven megabytes, and as many again of its text if it were made whole
OVER_BYTES = 32 * 2**20  # of small answers, requests and graphs
SECONDS = 60


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with little room for answers."""
    settings = {"UNROLLED_MAX_ANSWER_BYTES": str(MAX_ANSWER_BYTES)}
    with Server(tmp_path_factory.mktemp("home"), settings=settings) as running:
        yield running


def resident_bytes(server: Server, name: str) -> int:
    """VmRSS or VmHWM of its worker."""
    (worker,) = server.workers()
    lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def forget_peak(server: Server) -> None:
    """Let the peak be what there is now."""
    (worker,) = server.workers()
    Path(f"/proc/{worker.pid}/clear_refs").write_text("5")


def asked(server: Server, session_id: str, stack: ExitStack) -> socket.socket:
    """A connection that has asked for many logits, and reads nothing."""
    body = json.dumps({"inputs": {"ids": IDS}}).encode()
    silent = stack.enter_context(socket.socket())
    silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    silent.connect(("127.0.0.1", server.fast_port))
    head = f"POST /sessions/{session_id}/steps HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    silent.sendall(head.encode() + body)
    return silent


@pytest.mark.parametrize("port", ["url", "fast_url"])
def test_large_answers_take_no_more_than_their_room_and_all_arrive(narrow: Server, port: str) -> None:
    with http_client(getattr(narrow, port), timeout=120) as client:
        session_ids = [open_session(client, "generation") for _ in range(NUM_CLIENTS)]
        step(client, session_ids[0], {"ids": IDS})  # opens the graphs
        forget_peak(narrow)
        before = resident_bytes(narrow, "VmRSS")
        with ThreadPoolExecutor(NUM_CLIENTS) as pool:
            answers = list(pool.map(lambda each: step(client, each, {"ids": IDS}), session_ids))
        assert [len(answer["logits"]) for answer in answers] == [len(IDS)] * NUM_CLIENTS
        assert resident_bytes(narrow, "VmHWM") - before < MAX_ANSWER_BYTES + OVER_BYTES


def test_clients_that_do_not_read_take_no_more_either_and_keep_nobody_waiting(narrow: Server) -> None:
    with http_client(narrow.fast_url) as client, ExitStack() as stack:
        session_ids = [open_session(client, "generation") for _ in range(NUM_CLIENTS)]
        forget_peak(narrow)
        before = resident_bytes(narrow, "VmRSS")
        for session_id in session_ids:
            asked(narrow, session_id, stack)
        until(
            lambda: any(client.get(f"/sessions/{each}").json()["step"] for each in session_ids), SECONDS, "one is done"
        )
        started = time.monotonic()
        step(client, open_session(client, "generation"), {"ids": [3] * 20})
        assert time.monotonic() - started < SECONDS / 6
        assert resident_bytes(narrow, "VmHWM") - before < MAX_ANSWER_BYTES + OVER_BYTES
    said = narrow.log.read_text()
    assert "ERROR" not in said
    assert "Traceback" not in said
