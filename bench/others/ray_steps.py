"""One step of a sequence on Ray Serve, with its dynamic batching: `python -m bench.others.ray_steps PORT`."""

import sys
import time

import ray
from ray import serve
from starlette.requests import Request

from bench.baselines.step_model import MAX_BATCH_ROWS, MAX_WAIT_SECONDS, StepModel

Step = dict[str, int]


class Steps:
    """`POST / {"sequence": 7, "id": 3}`."""

    def __init__(self) -> None:
        self._model = StepModel()

    @serve.batch(max_batch_size=MAX_BATCH_ROWS, batch_wait_timeout_s=MAX_WAIT_SECONDS)
    async def _step(self, steps: list[Step]) -> list[int]:
        return self._model.step([step["sequence"] for step in steps], [step["id"] for step in steps])

    async def __call__(self, request: Request) -> int:
        """Answer one step."""
        answer: int = await self._step(await request.json())
        return answer


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    deployed = serve.deployment(num_replicas=1, max_ongoing_requests=4 * MAX_BATCH_ROWS)(Steps)
    serve.run(deployed.bind())
    while True:
        time.sleep(60)
