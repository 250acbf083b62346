"""The whole load test against a service that always gives the same wrong answer: every kind of user tells."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from loadtest.invalid_requests import INVALID_REQUESTS
from tests.paths import LOCUSTFILE, ROOT
from tests.ports import free_port

AN_INVALID_REQUEST = "/sentiment (invalid)"
ASKED = (
    "/sentiment",
    "/generate",
    "/forecast",
    "/translate",
    "/compose",
    "/tag",
    "/caption",
    "generation",
    "forecasting",
    AN_INVALID_REQUEST,
)
INVALID_BODIES = {mistake.body for mistake in INVALID_REQUESTS}
ENOUGH = 3


class Indifferent(ThreadingHTTPServer):
    """Answers `{}` to everything, and tells when it has been asked enough."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Indifference)
        self.num_asked: Counter[str] = Counter()
        self.authorizations: set[tuple[str, str | None]] = set()
        self.was_asked_enough = Event()

    def count(self, path: str, body: bytes) -> None:
        if path == "/sessions" and body.startswith(b"{"):
            self.num_asked[json.loads(body).get("model")] += 1
        self.num_asked[f"{path} (invalid)" if body in INVALID_BODIES else path] += 1
        if min(self.num_asked[asked] for asked in ASKED) >= ENOUGH:
            self.was_asked_enough.set()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is nothing to report."""


class Indifference(BaseHTTPRequestHandler):
    server: Indifferent
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.authorizations.add((self.path, self.headers.get("Authorization")))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
        self.server.count(self.path, body)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  the names that http.server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's own name
        """Keep quiet."""


@contextmanager
def indifferent() -> Iterator[Indifferent]:
    with Indifferent() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def run_until_asked_enough(server: Indifferent) -> tuple[int, str]:
    """Locust's exit status and what it printed."""
    host = f"http://127.0.0.1:{server.server_port}/"  # with a slash, as people copy it
    arguments = ["--headless", "--host", host, "--users", "30", "--spawn-rate", "30", "--seed", "7"]
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603  our own words
        server.was_asked_enough.wait(timeout=60)
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=60)
    return process.returncode, printed


def test_every_kind_of_user_reports_wrong_answers_by_kind() -> None:
    with indifferent() as server:
        status, printed = run_until_asked_enough(server)
    _, _, failures = printed.partition("Error report")
    assert "Traceback" not in printed
    for failure in (
        "POST /sentiment: form: results: missing",
        "POST /generate: form: text: missing",
        "POST /forecast: form: forecast: missing",
        "POST /translate: form: translations: missing",
        "POST /compose: form: frames: missing",
        "POST /tag: form: results: missing",
        "POST /caption: form: caption: missing",
        "POST /sessions (generation): status: expected 201, got 200",
        "POST /sessions (forecasting): status: expected 201, got 200",
        "POST /sentiment (invalid): ",
        ": status: expected 422, got 200",
    ):
        assert failure in failures
    assert status == 1
    assert {authorization for _, authorization in server.authorizations} == {None}


@pytest.mark.parametrize(
    ("options", "environment"), [(["--api-key", "unr_key"], {}), ([], {"LOCUST_API_KEY": "unr_key"})]
)
def test_every_request_of_a_run_carries_its_api_key(options: list[str], environment: dict[str, str]) -> None:
    with indifferent() as server:
        host = f"http://127.0.0.1:{server.server_port}"
        arguments = ["--headless", "--host", host, "--users", "1", "--run-time", "2s", *options, "SentimentUser"]
        command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *arguments]
        subprocess.run(command, capture_output=True, check=False, timeout=60, env=os.environ | environment)  # noqa: S603  our own words
    assert server.authorizations == {("/models", "Bearer unr_key"), ("/sentiment", "Bearer unr_key")}


@pytest.mark.parametrize(
    ("key", "host", "reason"),
    [
        ("unr_a unr_b", "http://127.0.0.1:1", "the API key has blanks or line breaks within"),
        ("unr_key", "", "an API key is only sent to the service that --host names"),
    ],
)
def test_a_key_that_could_leak_is_refused_without_showing_it(key: str, host: str, reason: str) -> None:
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", *(["--host", host] if host else [])]
    environment = os.environ | {"LOCUST_API_KEY": key}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)  # noqa: S603  our own words
    assert done.returncode == 1
    assert reason in done.stderr
    assert key not in done.stdout + done.stderr


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]])
def test_a_host_without_a_scheme_ends_the_run_at_its_start(processes: list[str]) -> None:
    port = str(free_port())
    arguments = ["--headless", "--host", "localhost:1", "--master-bind-port", port, "--master-port", port, *processes]
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  our own words
    assert done.returncode == 1
    assert "--host localhost:1 has no scheme: give http://localhost:1" in done.stderr
    assert "Ramping to" not in done.stderr


OTHER_HOST = """
from argparse import Namespace
from locust.env import Environment
from loadtest.api_key import authorization, check_api_key
environment = Environment(host="http://ours/", parsed_options=Namespace(api_key="unr_key\\r", worker=False))
check_api_key(environment)
print(authorization(environment))
environment.host = "http://theirs"  # as entered in the web UI
print(authorization(environment))
"""


def test_a_key_goes_to_its_own_host_only() -> None:
    done = subprocess.run([sys.executable, "-c", OTHER_HOST], capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603  our own words
    assert done.stdout.splitlines() == ["{'Authorization': 'Bearer unr_key'}", "{}"]


def test_a_run_that_sends_nothing_fails() -> None:
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--users", "1", "--run-time", "2s"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  our own words
    assert done.returncode == 1
    assert "no request was sent: give the service's address by --host" in done.stderr
