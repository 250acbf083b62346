"""One step of one session over each surface that takes steps, in company or alone; its logits, float32 (T, V)."""

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from tests.e2e.asking import Json, ask, open_session
from tests.e2e.stream import StreamClient, read_binary
from tests.fakes.binary import binary_form

Ids = Sequence[int]
Logits = NDArray[np.float32]
HEADER = "Inference-Header-Content-Length"


def over_http(client: httpx.Client, session_id: str, ids: Ids, **more: Any) -> Logits:  # noqa: ANN401  of a step's form
    """POST /sessions/{id}/steps."""
    answer = ask(client, f"/sessions/{session_id}/steps", {"inputs": {"ids": list(ids)}, "return": "logits", **more})
    return np.array(answer["outputs"]["logits"], np.float32)


def among_many(client: httpx.Client, session_id: str, ids: Ids, company: Sequence[Ids] = ()) -> Logits:
    """POST /steps, where other new sessions read other sequences at the same time."""
    model = ask_model(client, session_id)
    others = [(open_session(client, model), other) for other in company]
    rows = [*others[::2], (session_id, ids), *others[1::2]]
    items = [{"session_id": each, "inputs": {"ids": list(values)}, "return": "logits"} for each, values in rows]
    answers = ask(client, "/steps", {"items": items})["items"]
    assert [answer["status"] for answer in answers] == [200] * len(rows)
    (own,) = (answer for answer in answers if answer["session_id"] == session_id)
    return np.array(own["outputs"]["logits"], np.float32)


def in_binary(client: httpx.Client, session_id: str, ids: Ids, num_others: int = 0) -> Logits:
    """POST /steps in its binary form, where other new sessions read the same ids backwards."""
    items, values = _with_others(client, session_id, ids, num_others)
    content, length = binary_form(items, values, **{"return": "logits"})
    headers = {"Content-Type": "application/octet-stream", HEADER: str(length)}
    response = client.post("/steps", content=content, headers=headers)
    assert response.status_code == 200, response.text
    head, logits = read_binary(response.content, int(response.headers[HEADER]))
    assert [item["status"] for item in head["items"]] == [200] * len(items)
    return np.array(logits[0])


def over_stream(stream: StreamClient, session_id: str, ids: Ids) -> Logits:
    """A text frame."""
    answer = stream.ask(session_id, {"ids": list(ids)}, **{"return": "logits"})
    assert answer["status"] == 200, answer
    return np.array(answer["outputs"]["logits"], np.float32)


def over_stream_in_binary(stream: StreamClient, session_id: str, ids: Ids) -> Logits:
    """A binary frame."""
    head, logits = stream.ask_binary([{"session_id": session_id}], np.array([ids]), **{"return": "logits"})
    assert head["items"][0]["status"] == 200, head
    return np.array(logits[0])


def ask_model(client: httpx.Client, session_id: str) -> str:
    """The model that a session lives on."""
    model: str = client.get(f"/sessions/{session_id}").json()["model"]
    return model


def whole(client: httpx.Client, model: str, ids: Ids) -> Logits:
    """What a sequence is answered that is read at once."""
    return over_http(client, open_session(client, model), ids)


def taken(steps: Sequence[tuple[Callable[..., Logits], Ids]], client: httpx.Client, model: str, **more: Json) -> Logits:
    """What a new session is answered whose pieces go over one surface after the other."""
    session_id = open_session(client, model)
    return np.concatenate([surface(session_id, ids, **more) for surface, ids in steps])


def _with_others(
    client: httpx.Client, session_id: str, ids: Ids, num_others: int
) -> tuple[list[Json], NDArray[np.int64]]:
    model = ask_model(client, session_id) if num_others else ""
    others = [open_session(client, model) for _ in range(num_others)]
    values = np.array([ids, *[list(ids)[::-1]] * num_others], np.int64)
    return [{"session_id": each} for each in (session_id, *others)], values
