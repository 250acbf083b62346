"""The load test against the real service: however a run ends, it leaves no session behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.keys.key_file import add_key
from tests.e2e.asking import http_client
from tests.e2e.server import Server
from tests.paths import LOCUSTFILE
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.e2e
USERS = ["BatchUser", "DeviceUser", "StreamUser", "StreamingReviewUser", "StreamingTagsUser", "StreamingTextUser"]
END_SECONDS = 60

Run = subprocess.Popen[str]


@pytest.fixture(scope="module")
def key(keys: Path, tokens: dict[str, str]) -> str:
    """The key of an owner whose sessions are all opened by load."""
    assert tokens
    return add_key(keys, "load")


@pytest.fixture(scope="module")
def owner(guarded: Server, key: str) -> Iterator[httpx.Client]:
    with http_client(guarded.url, headers={"Authorization": f"Bearer {key}"}) as client:
        until(lambda: client.get("/sessions").is_success, END_SECONDS, "the key is known")
        yield client


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that refuses most of what is asked at the same time."""
    with Server(tmp_path_factory.mktemp("home"), settings={"UNROLLED_MAX_QUEUE_ROWS": "1"}) as running:
        yield running


@contextmanager
def locust(host: str, *options: str, key: str = "") -> Iterator[Run]:
    """A run of the load test."""
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--host", host, "--only-summary", *options]
    environment = os.environ | {"LOCUST_API_KEY": key}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as run:  # noqa: S603  our own words
        try:
            yield run
        finally:
            run.kill()


def live_sessions(client: httpx.Client) -> int:
    """How many sessions its owner has."""
    number, page = 0, {"limit": "1000"}
    while True:
        answer = client.get("/sessions", params=page).raise_for_status().json()
        number += len(answer["sessions"])
        if "next" not in answer:
            return number
        page["after"] = answer["next"]


def interrupt(run: Run, _: str) -> None:
    run.send_signal(signal.SIGINT)


def terminate(run: Run, _: str) -> None:
    run.send_signal(signal.SIGTERM)


def stop_by_web_ui(_: Run, address: str) -> None:
    httpx.post(f"{address}/stop", timeout=END_SECONDS).raise_for_status()


def wait(_: Run, __: str) -> None:
    """The time of the run ends."""


ENDS: list[tuple[list[str], Callable[[Run, str], None]]] = [
    (["--headless"], interrupt),
    (["--headless"], terminate),
    (["--headless", "--run-time", "8s"], wait),
    (["--headless", "--run-time", "8s", "--stop-timeout", "30"], wait),
    (["--headless", "--run-time", "8s", "--processes", "2"], wait),
    (["--autostart"], stop_by_web_ui),
]


@pytest.mark.parametrize(("options", "end"), ENDS, ids=lambda each: " ".join(each) if isinstance(each, list) else None)
def test_a_run_that_ends_while_steps_are_under_way_leaves_no_session(
    guarded: Server, owner: httpx.Client, key: str, options: list[str], end: Callable[[Run, str], None]
) -> None:
    ports = [free_port(), free_port()]
    web_ui = ["--web-host", "127.0.0.1", "--web-port", str(ports[0])]
    master = ["--master-bind-port", str(ports[1]), "--master-port", str(ports[1])]
    with locust(guarded.url, "-u", "30", "-r", "30", *web_ui, *master, *options, *USERS, key=key) as run:
        until(lambda: live_sessions(owner) > 30, END_SECONDS, "sessions are open")
        end(run, f"http://127.0.0.1:{ports[0]}")
        if end is not stop_by_web_ui:
            printed, _ = run.communicate(timeout=END_SECONDS)
            # Python may raise KeyboardInterrupt within a user, which gevent prints.
            assert end is interrupt or "Traceback" not in printed
            assert run.returncode == 0, printed
        assert live_sessions(owner) == 0


def test_tasks_that_fail_leave_no_session(narrow: Server) -> None:
    with locust(narrow.url, "--headless", "-u", "30", "-r", "30", "--run-time", "8s", *USERS) as run:
        printed, _ = run.communicate(timeout=END_SECONDS)
    assert run.returncode == 1
    assert "503 queue-full" in printed
    with http_client(narrow.url) as client:
        assert live_sessions(client) == 0


@pytest.mark.parametrize(
    ("key", "reason"),
    [("", "an API key is needed: give one by"), ("unr_other", "this API key is not one of the service's: give one by")],
)
@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_a_run_that_the_service_would_refuse_ends_at_its_start(
    guarded: Server, key: str, reason: str, processes: tuple[str, ...]
) -> None:
    port = str(free_port())
    master = ("--master-bind-port", port, "--master-port", port, *processes)
    with locust(guarded.url, "--headless", *master, key=key) as run:
        printed, _ = run.communicate(timeout=END_SECONDS)
    assert run.returncode == 1, printed
    assert reason in printed
    assert "Ramping to" not in printed
