"""What /metrics says."""

import time

import httpx

from service.worker import FLUSH_SECONDS
from tests.waiting import until

ARRIVAL_SECONDS = 30  # on a noisy machine
QUIET_SECONDS = 4 * FLUSH_SECONDS


def metrics(client: httpx.Client) -> dict[str, float]:
    """Every sample, by name and labels as they are written."""
    lines = client.get("/metrics").text.splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def await_metric(client: httpx.Client, name: str, value: float) -> None:
    """Wait until a sample has reached a value: workers hand on what they count some at a time."""
    until(lambda: metrics(client).get(name, 0) >= value, ARRIVAL_SECONDS, f"{name} is {value} or more")


def settled_metric(client: httpx.Client, name: str) -> float:
    """The value of a sample, 0 where there is none, once nothing that happened before is still to be counted in it."""
    value, since = metrics(client).get(name, 0), time.monotonic()

    def is_settled() -> bool:
        nonlocal value, since
        if (latest := metrics(client).get(name, 0)) != value:
            value, since = latest, time.monotonic()
        return time.monotonic() - since > QUIET_SECONDS

    until(is_settled, ARRIVAL_SECONDS, f"{name} stays as it is")
    return value
