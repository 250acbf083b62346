"""One step of a sequence on mosec, with its dynamic batching: `python -m bench.others.mosec_steps --port PORT`."""

from mosec import Server, Worker

from bench.baselines.step_model import MAX_BATCH_ROWS, MAX_WAIT_SECONDS, StepModel

Step = dict[str, int]


class Steps(Worker):
    """`POST /inference {"sequence": 7, "id": 3}`."""

    def __init__(self) -> None:
        super().__init__()
        self._model = StepModel()

    def forward(self, data: list[Step]) -> list[int]:
        """Step all sequences of a batch."""
        return self._model.step([step["sequence"] for step in data], [step["id"] for step in data])


if __name__ == "__main__":
    server = Server()
    server.append_worker(Steps, num=1, max_batch_size=MAX_BATCH_ROWS, max_wait_time=round(1000 * MAX_WAIT_SECONDS))
    server.run()
