"""Builds requests of steps beforehand: their bodies, and for single steps the bytes that a connection sends."""

from collections.abc import Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.clients.http import request
from bench.clients.websocket import frame
from bench.service import Service

V = 65  # characters that the shipped generation bundle knows
BINARY = "application/octet-stream"
LENGTH_HEADER = "Inference-Header-Content-Length"


def tokens(rows: int, size: int = 1) -> np.ndarray:
    """Draw token ids, int64 (N, T)."""
    return np.random.default_rng(0).integers(0, V, (rows, size))


def step_path(session_id: str) -> str:
    """Return the path of a session's steps."""
    return f"/sessions/{session_id}/steps"


def step_lines(session_ids: Sequence[str]) -> list[tuple[str, bytes]]:
    """Return path and body of one step of each session."""
    drawn = tokens(len(session_ids)).tolist()
    return [(step_path(each), single_step(ids)) for each, ids in zip(session_ids, drawn, strict=True)]


def step_requests(service: Service, session_ids: Sequence[str]) -> list[list[bytes]]:
    """Return HTTP requests for one connection per session."""
    lines = step_lines(session_ids)
    return [[request(path, body, service.headers)] for path, body in lines]


def step_frames(session_ids: Sequence[str]) -> list[list[bytes]]:
    """Return WebSocket frames for one connection per session."""
    drawn = tokens(len(session_ids)).tolist()
    return [[frame(stream_step(each, ids))] for each, ids in zip(session_ids, drawn, strict=True)]


def binary_steps(session_ids: Sequence[str], ids: NDArray[np.int64], returned: str) -> tuple[bytes, dict[str, str]]:
    """Build steps in the binary form, which is the Open Inference Protocol's.

    Args:
        session_ids: N sessions.
        ids: Token ids, int64 (N, T).
        returned: "none", "argmax" or "logits".

    Returns:
        The body, and the header with the length of its JSON.
    """
    blob = np.ascontiguousarray(ids, dtype="<i8").tobytes()
    head = orjson.dumps(
        {
            "items": [{"session_id": session_id} for session_id in session_ids],
            "return": returned,
            "inputs": [
                {
                    "name": "x",
                    "shape": list(ids.shape),
                    "datatype": "INT64",
                    "parameters": {"binary_data_size": len(blob)},
                }
            ],
        }
    )
    return head + blob, {LENGTH_HEADER: str(len(head))}


def json_steps(session_ids: Sequence[str], ids: NDArray[np.int64], returned: str) -> bytes:
    """Build steps with token ids, int64 (N, T), in JSON."""
    items = [
        {"session_id": session_id, "inputs": {"ids": own}, "return": returned}
        for session_id, own in zip(session_ids, ids.tolist(), strict=True)
    ]
    return orjson.dumps({"items": items})


def single_step(ids: Sequence[int]) -> bytes:
    """Build the body of `POST /sessions/{id}/steps`."""
    return orjson.dumps({"inputs": {"ids": list(ids)}, "return": "argmax"})


def stream_step(session_id: str, ids: Sequence[int]) -> bytes:
    """Build a message of `WS /stream`."""
    return orjson.dumps({"id": 1, "session_id": session_id, "inputs": {"ids": list(ids)}, "return": "argmax"})


def baseline_step(count: int) -> list[tuple[str, bytes]]:
    """Build path and body of one step for each of `count` sessions of `bench.baselines.step_service`."""
    return [("/step", orjson.dumps({"steps": [[number, number % V]]})) for number in range(count)]
