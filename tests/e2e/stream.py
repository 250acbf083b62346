"""A client of WS /stream."""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.sync.client import ClientConnection, connect

from tests.e2e.asking import Json
from tests.fakes.binary import HEAD_LENGTH, binary_message


class StreamClient:
    """One connection: messages out, answers in as they come."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._ids = itertools.count()

    def send(self, session_id: str, inputs: Json, **item: object) -> int:
        """Send one item; its id."""
        item_id = next(self._ids)
        self.connection.send(json.dumps({"id": item_id, "session_id": session_id, "inputs": inputs, **item}))
        return item_id

    def receive(self) -> Json:
        """The next answer to an item."""
        answer: Json = json.loads(self.connection.recv(timeout=60))
        return answer

    def ask(self, session_id: str, inputs: Json, **item: object) -> Json:
        """The answer to one item, with no other under way."""
        item_id = self.send(session_id, inputs, **item)
        answer = self.receive()
        assert answer["id"] == item_id
        return answer

    def ask_binary(self, items: Sequence[Json], values: NDArray[Any], **head: object) -> tuple[Json, NDArray[Any]]:
        """What a binary message is answered: its head and its tensor."""
        self.connection.send(binary_message(items, values, **head))
        answer = self.connection.recv(timeout=60)
        assert isinstance(answer, bytes)
        (length,) = HEAD_LENGTH.unpack_from(answer)
        return read_binary(answer[HEAD_LENGTH.size :], length)


@contextmanager
def open_stream(url: str, **options: Any) -> Iterator[StreamClient]:  # noqa: ANN401  whatever websockets takes
    """A connection to a service's stream."""
    with connect(url, open_timeout=60, close_timeout=2, compression=None, **options) as connection:
        yield StreamClient(connection)


def read_binary(content: bytes, length: int) -> tuple[Json, NDArray[Any]]:
    """The head of a binary answer, and its tensor; an empty one where nothing is returned."""
    head: Json = json.loads(content[:length])
    if "outputs" not in head:
        return head, np.empty(0, np.float32)
    (output,) = head["outputs"]
    dtype = {"FP32": np.float32, "INT64": np.int64}[output["datatype"]]
    return head, np.frombuffer(content[length:], dtype).reshape(output["shape"])
