"""One step of a sequence on MLServer, with its adaptive batching: `python -m bench.others.mlserver_steps PORT`."""

import json
import os
import socket
import sys
import tempfile
from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from bench.baselines.step_model import MAX_BATCH_ROWS, MAX_WAIT_SECONDS, StepModel

NAME = "steps"


class Steps(MLModel):
    """`POST /v2/models/steps/infer` with one tensor: sequence and token id, int64 (N, 2)."""

    async def load(self) -> bool:
        """Load the model."""
        self._model = StepModel()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Step all sequences of a batch."""
        sequences, ids = NumpyCodec.decode_input(payload.inputs[0]).T.tolist()
        answers = np.array(self._model.step(sequences, ids))[:, None]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", answers)])


def free_port() -> int:
    """Return a port that no process listens on now: gRPC cannot be turned off."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main(port: str) -> None:
    """Write the settings of server and model, and become MLServer."""
    folder = Path(tempfile.mkdtemp(prefix="bench-mlserver-"))
    server = {
        "host": "127.0.0.1",
        "http_port": int(port),
        "grpc_port": free_port(),
        "metrics_endpoint": None,
        "parallel_workers": 0,  # in the server's own process, which is faster than one beside it
        "debug": False,
    }
    model = {
        "name": NAME,
        "implementation": "bench.others.mlserver_steps.Steps",
        "max_batch_size": MAX_BATCH_ROWS,
        "max_batch_time": MAX_WAIT_SECONDS,
    }
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(model))
    os.execv(sys.executable, [sys.executable, "-m", "mlserver.cli.main", "start", str(folder)])  # noqa: S606  our own


if __name__ == "__main__":
    main(sys.argv[1])
