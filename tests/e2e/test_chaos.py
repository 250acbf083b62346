"""Nothing acknowledged is lost: workers and whole services killed under load, again and again.

CHAOS_KILLS says how often; `make chaos` is the long version.
"""

import logging
import os
import random
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.e2e.asking import http_client
from tests.e2e.exposition import metrics
from tests.e2e.load import Load, stored_steps
from tests.e2e.server import STOP_SECONDS, Server, is_listening
from tests.e2e.workers import worker_of
from tests.waiting import until

pytestmark = pytest.mark.e2e
KILLS = int(os.environ.get("CHAOS_KILLS", "2"))
SETTINGS = {"UNROLLED_WORKERS": "2", "UNROLLED_SPARE_WORKERS": "1"}
NUM_HTTP = NUM_STREAM = 100
STEPS_BEFORE_KILL = 200
BACK_SECONDS = 2.0
BACK_TRIES = 3  # others use the machine as well, and two seconds are short
SPARE_SECONDS = 40
LOADING_PERCENT = 15
logger = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of two workers and a spare one, which the tests kill."""
    with Server(tmp_path_factory.mktemp("home"), settings=SETTINGS) as running:
        yield running


def served_steps(server: Server) -> dict[str, int]:
    """The next step of each session, as the service lists them."""
    steps: dict[str, int] = {}
    after: str | None = ""
    with http_client(server.url) as client:
        while after is not None:
            response = client.get("/sessions", params={"after": after})
            assert response.is_success, response.text
            page = response.json()
            steps |= {each["session_id"]: each["step"] for each in page["sessions"]}
            after = page.get("next")
    return steps


def lost(acknowledged: dict[str, int], found: dict[str, int]) -> dict[str, tuple[int, int | None]]:
    """Sessions of which less is found than was acknowledged."""
    return {each: (steps, found.get(each)) for each, steps in acknowledged.items() if found.get(each, -1) < steps}


def kill_worker(server: Server) -> psutil.Process:
    """SIGKILL to one of those that serve."""
    victim = random.choice(server.workers())  # noqa: S311  any of them
    victim.kill()  # BentoML buries it within ten seconds
    return victim


def is_answering(server: Server, pid: int) -> bool:
    """Whether a connection to the second port reaches that process, and is answered."""
    with http_client(server.fast_url, timeout=5) as client:
        try:
            return worker_of(server, client) == pid
        except (httpx.TransportError, StopIteration):
            return False


def num_workers_started(server: Server) -> float:
    """How many workers have begun to serve, as the metrics have it."""
    with http_client(server.url) as client:
        return metrics(client)["rnn_workers_started_total"]


def seconds_without_a_killed_worker(server: Server) -> float:
    """How long it takes until the spare worker, which had loaded, answers in its place."""
    until(lambda: len(server.spares()) == 1, SPARE_SECONDS, "a spare worker is there")
    (spare,) = server.spares()
    until(lambda: spare.cpu_percent(interval=0.5) < LOADING_PERCENT, SPARE_SECONDS, "the spare worker has loaded")
    killed = time.monotonic()
    victim = kill_worker(server)
    until(lambda: is_answering(server, spare.pid), SPARE_SECONDS, "the spare worker answers")
    seconds = time.monotonic() - killed
    logger.info("back after %.2f seconds", seconds)
    assert victim.pid not in {worker.pid for worker in server.workers()}
    return seconds


def test_a_killed_workers_place_is_taken_within_two_seconds(mortal: Server) -> None:
    tries = (seconds_without_a_killed_worker(mortal) for _ in range(BACK_TRIES))
    assert any(seconds < BACK_SECONDS for seconds in tries)


def test_a_killed_worker_leaves_a_line_in_the_log_and_a_count_in_the_metrics(mortal: Server) -> None:
    until(lambda: len(mortal.spares()) == 1, SPARE_SECONDS, "a spare worker is there")
    before = num_workers_started(mortal)
    victim = kill_worker(mortal)
    until(lambda: num_workers_started(mortal) > before, SPARE_SECONDS, "the one that took its place is counted")
    said = f"worker process {victim.pid} was killed by SIGKILL"
    until(lambda: said in mortal.log.read_text(), SPARE_SECONDS, "the log says who was killed")


def test_every_acknowledged_step_outlives_kills_of_a_worker_and_of_everything(mortal: Server) -> None:
    with Load(mortal, NUM_HTTP, NUM_STREAM) as load:
        for _ in range(KILLS):
            load.await_steps(STEPS_BEFORE_KILL)
            kill_worker(mortal)
            load.await_steps(STEPS_BEFORE_KILL)
            before = {process.pid for process in mortal.processes()}
            mortal.kill()
            assert not is_listening(mortal.port)
            assert not is_listening(mortal.fast_port)
            acknowledged = load.acknowledged()
            assert lost(acknowledged, stored_steps(mortal, list(acknowledged))) == {}
            mortal.start()
            assert before.isdisjoint(process.pid for process in mortal.processes())
            assert lost(acknowledged, served_steps(mortal)) == {}
        load.await_steps(STEPS_BEFORE_KILL)
    assert load.setbacks["ConnectError"] > 0
    logger.info("%d steps outlived %d kills; clients met %s", load.check(), KILLS, dict(load.setbacks))


def test_workers_end_with_their_parent(mortal: Server) -> None:
    children = mortal.processes()[1:]
    assert len(children) >= 3
    mortal.process.kill()
    _, alive = psutil.wait_procs(children, timeout=STOP_SECONDS)
    assert alive == []
    until(
        lambda: not is_listening(mortal.port) and not is_listening(mortal.fast_port), STOP_SECONDS, "ports are closed"
    )
