"""The shipped generation model, one character at a time, as a competent user of any server would write it.

The states are in a dictionary of the only worker, and lost with it.
"""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bench.baselines import GENERATION

MAX_BATCH_ROWS = 64
MAX_WAIT_SECONDS = 0.002  # for more rows, where a server wants to be told
L, H = 2, 256

State = tuple[NDArray[np.float32], NDArray[np.float32]]


class StepModel:
    """The graph and the states of all sequences."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._graph = ort.InferenceSession(GENERATION / "encode-1.onnx", options, providers=["CPUExecutionProvider"])
        self._states: dict[int, State] = {}

    def step(self, sequences: Sequence[int], ids: Sequence[int]) -> list[int]:
        """Return the most probable next character of each of N sequences after one more token."""
        fresh = (np.zeros((L, H), np.float32), np.zeros((L, H), np.float32))
        states = [self._states.get(sequence, fresh) for sequence in sequences]
        h = np.stack([state[0] for state in states], axis=1)
        c = np.stack([state[1] for state in states], axis=1)
        x = np.array(ids, np.int64)[:, None]
        logits, h_next, c_next = self._graph.run(["logits", "h_next", "c_next"], {"x": x, "h": h, "c": c})
        for row, sequence in enumerate(sequences):
            self._states[sequence] = (h_next[:, row].copy(), c_next[:, row].copy())
        most_probable: list[int] = logits[:, -1].argmax(axis=1).tolist()
        return most_probable
