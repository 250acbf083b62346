"""Which users a service of other models gets, in a process of their own: locust changes the standard library."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import socket
from subprocess import DEVNULL, Popen
from threading import Thread
from typing import Any

from tests.paths import LOCUSTFILE, MODELS

CHOOSE = """
import sys
from types import SimpleNamespace

from loadtest import locustfile
from loadtest.served import leave_out_users

users = [getattr(locustfile, name) for name in locustfile.__all__]
environment = SimpleNamespace(host=sys.argv[1], user_classes=users, parsed_options=None)
leave_out_users(environment)
for user in environment.user_classes:
    print(user.__name__, user.model or "-", user.max_horizon)
"""


RUN = """
import sys

import gevent
from locust import events
from locust.env import Environment

from loadtest.locustfile import SentimentUser, StreamingReadingsUser

environment = Environment(user_classes=[SentimentUser, StreamingReadingsUser], events=events)
runner = environment.create_local_runner()
events.init.fire(environment=environment, runner=runner, web_ui=None)
for host in sys.argv[1:]:
    environment.host = host  # as the web UI sets it
    environment.stats.clear_all()
    runner.start(2, spawn_rate=2)
    with gevent.Timeout(20):
        while environment.stats.total.num_requests < 3:
            gevent.sleep(0.05)
    print(runner.user_count, *sorted(name for name, _ in environment.stats.entries))
    runner.stop()
"""
LOCUST = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--only-summary"]


@contextmanager
def serving(models: object) -> Iterator[str]:
    """The address of a service with these models."""

    class Models(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/models" else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"models": models}).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's own name
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Models) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def model(name: str, kind: str, sessions: bool = True, **task: object) -> dict[str, Any]:
    return {"name": name, "task": {"kind": kind, **task}, "sessions": sessions}


REVIEWS = {"labels": ["negative", "positive"]}
PLAYS = {"characters": sorted("\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")}


def chosen(models: object) -> "subprocess.CompletedProcess[str]":
    with serving(models) as host:
        return subprocess.run([sys.executable, "-c", CHOOSE, host], capture_output=True, text=True, check=False)  # noqa: S603


def test_users_ask_the_models_of_their_task_and_those_without_one_are_left_out() -> None:
    done = chosen(
        [
            model("meters", "forecasting", max_horizon=24),
            model("months", "forecasting", sessions=False, max_horizon=12),
            model("mood", "sentiment", sessions=False, **REVIEWS),
            model("tales", "generation", **PLAYS),
            model("generation", "generation", **PLAYS),
            model("tagging", "tagging", scheme="words", tags=["NOUN", "VERB"]),
        ]
    )
    assert done.stdout.splitlines() == [
        "BatchUser meters 24",
        "DeviceUser meters 24",
        "ForecastUser - 12",
        "GenerationUser - 720",
        "StreamUser meters 24",
        "StreamingReadingsUser meters 24",
        "StreamingTagsUser tagging 720",
        "StreamingTextUser generation 720",
    ], done.stderr
    for left_out in (
        "CaptionUser is left out: no model for caption is served",
        "InvalidRequestUser is left out: forecasting, sentiment is not served",
        "StreamingReviewUser is left out: no model for sentiment with sessions is served",
        "TaggingUser is left out: entities is not served",
    ):
        assert left_out in done.stderr


def test_all_users_ask_the_models_that_ship() -> None:
    manifests = [json.loads(path.read_text()) for path in MODELS.glob("*/manifest.json")]
    done = chosen([{"name": each["name"], "task": each["task"], "sessions": True} for each in manifests])
    assert len(done.stdout.splitlines()) == 15, done.stderr
    assert done.stderr == ""


def test_users_that_cannot_check_models_of_other_data_are_left_out() -> None:
    done = chosen(
        [
            model("meters", "forecasting"),
            model("spam", "sentiment", labels=["ham", "spam"]),
            model("haiku", "generation", characters=["a", "b"]),
            model("tagging", "tagging", scheme="words", tags=["NP", "VP"]),
            model("entities", "tagging", scheme="bio", tags=["O", "B-person", "I-person"]),
        ]
    )
    assert done.stdout.splitlines() == [
        "BatchUser meters 720",
        "DeviceUser meters 720",
        "ForecastUser - 720",
        "StreamUser meters 720",
        "StreamingReadingsUser meters 720",
    ], done.stderr
    for left_out in (
        "GenerationUser is left out: it cannot check models of other data: haiku",
        "SentimentUser is left out: it cannot check models of other data: spam",
        "StreamingReviewUser is left out: it cannot check models of other data: spam",
        "StreamingTagsUser is left out: it cannot check models of other data: tagging, entities",
        "StreamingTextUser is left out: it cannot check models of other data: haiku",
        "TaggingUser is left out: it cannot check models of other data: tagging",
    ):
        assert left_out in done.stderr


def test_of_several_models_users_ask_one_that_they_can_check_if_they_may_choose() -> None:
    done = chosen([model("sentiment", "sentiment", labels=["ham", "spam"]), model("mood", "sentiment", **REVIEWS)])
    assert done.stdout.splitlines() == ["StreamingReviewUser mood 720"], done.stderr
    assert "SentimentUser is left out: it cannot check models of other data: sentiment" in done.stderr


def test_a_service_whose_models_cannot_be_listed_is_taken_to_serve_those_that_ship() -> None:
    done = chosen("none of your business")
    assert "StreamingReadingsUser forecasting 720" in done.stdout.splitlines()
    assert len(done.stdout.splitlines()) == 15
    assert "the service's models cannot be listed" in done.stderr


def test_a_service_that_no_user_can_ask_ends_the_run() -> None:
    done = chosen([])
    assert (done.returncode, done.stdout) == (1, "")
    assert "no user can ask any of the served models" in done.stderr


def test_an_address_from_the_web_ui_is_asked_for_its_models_at_the_start_of_each_run() -> None:
    meters, mood = model("meters", "forecasting"), model("mood", "sentiment", **REVIEWS)
    with serving([meters]) as first, serving([mood]) as second:
        command = [sys.executable, "-c", RUN, first, second]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert done.stdout.splitlines() == ["1 /sessions (meters)", "1 /sentiment"], done.stderr
    assert "Traceback" not in done.stderr


def test_workers_ask_the_models_of_the_address_that_their_master_has() -> None:
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
    with serving([model("meters", "forecasting")]) as host:
        run = ["--headless", "--host", host, "--users", "1", "--run-time", "3s", "StreamingReadingsUser"]
        master = [*LOCUST, "--master", "--master-bind-port", port, "--expect-workers", "1", *run]
        with Popen([*LOCUST, "--worker", "--master-port", port], stderr=DEVNULL):  # noqa: S603
            done = subprocess.run(master, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert "/sessions (meters)" in done.stderr
    assert "/sessions (forecasting)" not in done.stderr
