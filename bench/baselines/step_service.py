"""One step of a session as a plain BentoML batchable API: what a competent user of BentoML would write.

`StepService` has BentoML's defaults. `BareStepService` has BentoML's metrics, access log and tracing turned off. The
state is in a dictionary of the only worker, and lost with it. Inputs are one numpy array, which BentoML handled faster
than a list of pydantic models.
"""

import bentoml
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bench.baselines import GENERATION

MAX_BATCH_ROWS = 64
L, H = 2, 256


class Steps:
    """The shipped generation model, one character at a time."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._graph = ort.InferenceSession(GENERATION / "encode-1.onnx", options, providers=["CPUExecutionProvider"])
        self._states: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_ROWS)
    def step(self, steps: np.ndarray) -> np.ndarray:
        """Return the most probable next character of each session.

        Args:
            steps: Session number and token id, int64 (N, 2).
        """
        fresh = (np.zeros((L, H), np.float32), np.zeros((L, H), np.float32))
        states = [self._states.get(number, fresh) for number in steps[:, 0].tolist()]
        h = np.stack([state[0] for state in states], axis=1)
        c = np.stack([state[1] for state in states], axis=1)
        x = steps[:, 1:].astype(np.int64)
        logits, h_next, c_next = self._graph.run(["logits", "h_next", "c_next"], {"x": x, "h": h, "c": c})
        for row, number in enumerate(steps[:, 0].tolist()):
            self._states[number] = (h_next[:, row].copy(), c_next[:, row].copy())
        argmax: NDArray[np.int64] = logits[:, -1].argmax(axis=1)
        return argmax


StepService = bentoml.service(name="step-baseline", workers=1)(Steps)
BareStepService = bentoml.service(
    name="bare-step-baseline",
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)(Steps)
