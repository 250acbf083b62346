"""Asking the service: what was answered, or what it refused."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import orjson

Json = dict[str, Any]


def http_client(url: str, timeout: float = 60, **options: Any) -> httpx.Client:  # noqa: ANN401  whatever httpx takes
    """A client of a service on this machine: it speaks no TLS, so it does without certificates, slow to load."""
    return httpx.Client(base_url=url, timeout=timeout, verify=False, **options)  # noqa: S501  there is no TLS


def ask(client: httpx.Client, path: str, body: Json) -> Json:
    """The answer to a request that must succeed."""
    response = client.post(path, json=body)
    assert response.is_success, response.text
    answer: Json = orjson.loads(response.content)  # an answer may have many megabytes
    return answer


def open_session(client: httpx.Client, model: str) -> str:
    """The id of a new session."""
    session_id: str = ask(client, "/sessions", {"model": model})["session_id"]
    return session_id


def step(client: httpx.Client, session_id: str, inputs: Json) -> Json:
    """The outputs of the next step."""
    outputs: Json = ask(client, f"/sessions/{session_id}/steps", {"inputs": inputs})["outputs"]
    return outputs


def last_step(client: httpx.Client, model: str, steps: Iterable[Json]) -> Json:
    """The outputs of the last of several steps of a new session."""
    session_id = open_session(client, model)
    outputs: Json = {}
    for inputs in steps:
        outputs = step(client, session_id, inputs)
    return outputs


def events(lines: Iterator[str]) -> Iterator[tuple[str, Json]]:
    """Server-sent events as they come."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
