"""One step of a sequence on LitServe, with its dynamic batching: `python -m bench.others.litserve_steps PORT`."""

import sys

import litserve

from bench.baselines.step_model import MAX_BATCH_ROWS, MAX_WAIT_SECONDS, StepModel

Step = dict[str, int]


class Steps(litserve.LitAPI):
    """`POST /predict {"sequence": 7, "id": 3}`."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self._model = StepModel()

    def batch(self, inputs: list[Step]) -> list[Step]:
        """Keep steps as they are, since LitServe stacks tensors only."""
        return inputs

    def predict(self, x: list[Step]) -> list[int]:
        """Step all sequences of a batch."""
        return self._model.step([step["sequence"] for step in x], [step["id"] for step in x])

    def unbatch(self, output: list[int]) -> list[int]:
        """Return the answers of a batch."""
        return output


if __name__ == "__main__":
    steps = Steps(max_batch_size=MAX_BATCH_ROWS, batch_timeout=MAX_WAIT_SECONDS)
    litserve.LitServer(steps, accelerator="cpu", timeout=60).run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
