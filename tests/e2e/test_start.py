"""How the service starts, refuses to, and stops."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.asking import http_client, open_session, step
from tests.e2e.server import START_SECONDS, STOP_SECONDS, Server, environment
from tests.paths import ROOT
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.e2e


def test_a_taken_port_is_an_error_that_names_it(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = _started(home, UNROLLED_PORT=port)
    assert done.returncode != 0
    assert f"port {port}" in done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("UNROLLED_PROT", "3000", "unknown settings"),
        ("BENTOML_HOME", "/proc/bentoml", "cannot make BentoML's directories in /proc/bentoml"),
        ("UNROLLED_BUNDLES", "nobody:latest", "no Models with name 'nobody'"),
    ],
)
def test_a_setting_that_cannot_be_meant_stops_the_start(home: Path, setting: str, value: str, reason: str) -> None:
    done = _started(home, **{setting: value})
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("unrolled: ")
    assert reason in done.stderr.splitlines()[-1]


def test_its_processes_take_orders_and_questions_at_no_place_but_its_ports(server: Server) -> None:
    processes = [process.pid for process in server.processes()]
    sockets = [each for pid in processes for each in psutil.Process(pid).net_connections("all")]
    ports = {each.laddr.port for each in sockets if each.status == psutil.CONN_LISTEN}
    assert ports == {server.port, server.fast_port}
    names = {each.laddr for each in sockets if each.family == socket.AF_UNIX and each.laddr}
    assert not [name for name in names if name.startswith("@")]


def test_a_second_service_on_the_same_second_port_is_refused_and_hurts_nobody(
    server: Server, client: httpx.Client, fast: httpx.Client
) -> None:
    assert fast.get("/models").is_success
    done = _started(server.home, UNROLLED_FAST_PORT=str(server.fast_port))
    assert done.returncode != 0
    assert f"port {server.fast_port}" in done.stderr
    assert step(fast, open_session(client, "sentiment"), {"ids": [1]})
    assert 'rnn_requests_total{code="200",endpoint="/models"}' in fast.get("/metrics").text


def test_a_damaged_copy_in_the_model_store_stops_the_start_and_says_what_to_do(small_home: Path, home: Path) -> None:
    shutil.copytree(small_home, home, dirs_exist_ok=True)
    (weights,) = (home / "models" / "sentiment").glob("*/weights.bin")
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    done = _started(home)
    assert done.returncode != 0
    assert "bentoml models delete sentiment:" in done.stderr


def _started(home: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    settings = {"UNROLLED_PORT": str(free_port()), "UNROLLED_FAST_PORT": str(free_port()), **settings}
    return subprocess.run(
        [sys.executable, "-m", "service"],
        cwd=ROOT,
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


@contextmanager
def _sighup(handler: signal.Handlers) -> Iterator[None]:
    """What is started in this context inherits that handler."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_closes_ends_a_service(home: Path) -> None:
    with _sighup(signal.SIG_DFL), Server(home) as server:
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(timeout=STOP_SECONDS) == 0
        assert "received SIGHUP: stopping the service" in server.log.read_text()
        assert "received SIGTERM" in server.log.read_text()


def test_signals_that_are_ignored_end_nothing_and_sigterm_ends_all_whoever_has_hung_up(home: Path) -> None:
    with _sighup(signal.SIG_IGN), Server(home) as server:
        workers = server.workers()
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "SIGHUP is ignored" in server.log.read_text(), 10, "it is told that SIGHUP is ignored")
        for number in (signal.SIGUSR1, signal.SIGUSR2):  # to have a log opened anew
            server.process.send_signal(number)
            workers[0].send_signal(number)
            until(partial(_have_all_ignored, server, number), 10, f"both have told that they ignore {number.name}")
        assert server.is_ready()
        assert server.workers() == workers

        pids = [process.pid for process in server.processes()[1:]]
        assert pids
        with http_client(server.url) as client:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/generate", json={"max_tokens": 4096}, timeout=0.05)
            with client.stream("POST", "/generate", json={"max_tokens": 4096, "stream": True}) as response:
                assert next(response.iter_lines()) == "event: text"
        server.stop()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", server.port)) != 0
    assert [pid for pid in pids if _is_running(pid)] == []


def _have_all_ignored(server: Server, number: signal.Signals) -> bool:
    return server.log.read_text().count(f"{number.name} is ignored") == len(server.processes())


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
