"""One step of a session as a plain BentoML batchable API: what a competent user of BentoML would write.

`StepService` has BentoML's defaults. `BareStepService` has BentoML's metrics, access log and tracing turned off. Inputs
are one numpy array, which BentoML handled faster than a list of pydantic models.
"""

import bentoml
import numpy as np

from bench.baselines.step_model import MAX_BATCH_ROWS, StepModel


class Steps:
    """The shipped generation model, one character at a time."""

    def __init__(self) -> None:
        self._model = StepModel()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH_ROWS)
    def step(self, steps: np.ndarray) -> np.ndarray:
        """Return the most probable next character of each session.

        Args:
            steps: Session number and token id, int64 (N, 2).
        """
        sequences, ids = steps.T.tolist()
        return np.array(self._model.step(sequences, ids))


StepService = bentoml.service(name="step-baseline", workers=1)(Steps)
BareStepService = bentoml.service(
    name="bare-step-baseline",
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)(Steps)
