"""What /metrics says."""

import httpx

from tests.e2e.server import until

FLUSH_SECONDS = 30


def metrics(client: httpx.Client) -> dict[str, float]:
    """Every sample, by name and labels as they are written."""
    lines = client.get("/metrics").text.splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def await_metric(client: httpx.Client, name: str, value: float) -> None:
    """Wait until a sample has reached a value: workers hand on what they count some at a time."""
    until(lambda: metrics(client).get(name, 0) >= value, FLUSH_SECONDS, f"{name} is {value} or more")
