"""A real Prometheus scrapes the real service, with a key, by the files of deploy/: the dashboard's panels have data."""

import math
from collections.abc import Iterator

import httpx
import pytest

from service.keys.key_file import add_key
from tests.deploy.dashboard import expressions
from tests.e2e.asking import ask, http_client, open_session
from tests.e2e.prometheus import BINARY, Prometheus
from tests.e2e.server import Server
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(BINARY is None, reason="there is no prometheus: apt-get install prometheus"),
]
SCRAPED_SECONDS = 30
RARE = {"Store errors by op"}
OF_THE_MACHINE = {"UnrolledEventLoopDelay"}  # others use its processors as well


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    add_key(home / "keys.txt", "ada")
    with Server(home, settings={"UNROLLED_API_KEYS": str(home / "keys.txt")}) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    token = add_key(server.home / "keys.txt", "prometheus")
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), server.port, token)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    token = add_key(server.home / "keys.txt", "grace")
    with http_client(server.url, headers={"authorization": f"Bearer {token}"}) as opened:
        until(lambda: opened.get("/models").is_success, SCRAPED_SECONDS, "the new key is known")
        yield opened


def ask_everything(client: httpx.Client) -> None:
    """Something of each kind that is counted, but what fails."""
    ask(client, "/sentiment", {"text": "A wonderful, warm film."})
    assert client.post("/generate", json={"prompt": "ROMEO:\n", "max_tokens": 20, "stream": True}).is_success
    session_id = open_session(client, "sentiment")
    steps, body = f"/sessions/{session_id}/steps", {"step": 0, "inputs": {"text": "fine "}}
    assert ask(client, steps, body) == ask(client, steps, body)
    assert client.post(steps, json={**body, "step": 7}).status_code == 409
    ask(client, "/steps", {"items": [{"session_id": session_id, "inputs": {"text": "and warm"}}]})
    open_session(client, "sentiment")
    assert client.delete(f"/sessions/{session_id}").is_success


def await_scrapes(prometheus: Prometheus) -> None:
    """Wait until it has been answered again, by a service that hands on what it counts some at a time."""
    asked = "count_over_time((up == 1)[5m:250ms])"
    before = sum(prometheus.query(asked))
    until(lambda: sum(prometheus.query(asked)) > before + 8, SCRAPED_SECONDS, "it was scraped")


def test_every_panel_has_data(prometheus: Prometheus, client: httpx.Client) -> None:
    for _ in range(2):  # an increase needs a count before it
        ask_everything(client)
        await_scrapes(prometheus)
    for title, expression in expressions():
        values = prometheus.query(expression)
        assert title in RARE or any(map(math.isfinite, values)), (title, expression, values)


def test_every_rule_is_evaluated_and_no_alert_is_raised(prometheus: Prometheus) -> None:
    until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), SCRAPED_SECONDS, "rules are evaluated")
    rules = prometheus.rules()
    assert {rule["type"] for rule in rules} == {"alerting", "recording"}
    assert {rule["name"] for rule in rules if rule.get("state", "inactive") != "inactive"} <= OF_THE_MACHINE


def test_a_service_that_has_ended_is_noticed(prometheus: Prometheus, server: Server) -> None:
    server.stop()
    until(lambda: prometheus.query('up{job="unrolled"}') == [0.0], SCRAPED_SECONDS, "it is down")

    def pending() -> set[str]:
        """The alerts that would be raised if it stayed so."""
        return {rule["name"] for rule in prometheus.rules() if rule.get("state") == "pending"} - OF_THE_MACHINE

    until(lambda: pending() == {"UnrolledNotScraped"}, SCRAPED_SECONDS, "the alert is pending")
