"""Prebuilt requests of single steps, a session each."""

from collections.abc import Sequence

import numpy as np

from bench.clients.http import request
from bench.clients.steps import single_step, stream_step
from bench.clients.websocket import frame
from bench.service import Service

V = 65  # characters that the shipped generation bundle knows


def tokens(rows: int, size: int = 1) -> np.ndarray:
    """Random token ids, int64 (N, T)."""
    return np.random.default_rng(0).integers(0, V, (rows, size))


def step_path(session_id: str) -> str:
    """Where a session takes its steps."""
    return f"/sessions/{session_id}/steps"


def step_lines(session_ids: Sequence[str]) -> list[tuple[str, bytes]]:
    """Path and body of a step of each session."""
    drawn = tokens(len(session_ids)).tolist()
    return [(step_path(each), single_step(ids)) for each, ids in zip(session_ids, drawn, strict=True)]


def step_requests(service: Service, session_ids: Sequence[str]) -> list[list[bytes]]:
    """HTTP requests for one connection to each session."""
    lines = step_lines(session_ids)
    return [[request(path, body, service.headers)] for path, body in lines]


def step_frames(session_ids: Sequence[str]) -> list[list[bytes]]:
    """WebSocket frames for one connection to each session."""
    drawn = tokens(len(session_ids)).tolist()
    return [[frame(stream_step(each, ids))] for each, ids in zip(session_ids, drawn, strict=True)]
