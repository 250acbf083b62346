"""Prebuilt requests of single steps, each of its own session."""

from collections.abc import Sequence

import numpy as np

from bench.clients.http import request
from bench.clients.steps import single_step, stream_step
from bench.clients.websocket import frame
from bench.service import Service

V = 65  # characters that the shipped generation bundle knows


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
