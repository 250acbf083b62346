"""One step of a sequence on Triton: `python -m bench.others.triton_steps PORT`.

Its sequence batcher, in the strategy "oldest", makes the batches, and its Python backend runs the model. The binary is
the one that nvidia-pytriton ships.
"""

import os
import site
import sys
import tempfile
from pathlib import Path

import pytriton

from bench.baselines.step_model import MAX_BATCH_ROWS, MAX_WAIT_SECONDS

NAME = "steps"
IDLE_MICROSECONDS = 3_600_000_000
CONFIG = f"""
name: "{NAME}"
backend: "python"
max_batch_size: {MAX_BATCH_ROWS}
input [{{ name: "x" data_type: TYPE_INT64 dims: [1] }}]
output [{{ name: "y" data_type: TYPE_INT64 dims: [1] }}]
instance_group [{{ kind: KIND_CPU count: 1 }}]
sequence_batching {{
  max_sequence_idle_microseconds: {IDLE_MICROSECONDS}
  oldest {{ max_candidate_sequences: 1024 max_queue_delay_microseconds: {round(1e6 * MAX_WAIT_SECONDS)} }}
  control_input [{{
    name: "CORRID"
    control [{{ kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 }}]
  }}]
}}
"""
MODEL = """import sys
sys.path += {paths!r}  # the backend's interpreter knows no virtual environment
from bench.others.triton_model import TritonPythonModel
"""


def main(port: str) -> None:
    """Write a model repository and become Triton."""
    folder = Path(tempfile.mkdtemp(prefix="bench-triton-"))
    repository = folder / "models"
    version = repository / NAME / "1"
    version.mkdir(parents=True)
    (repository / NAME / "config.pbtxt").write_text(CONFIG)
    (version / "model.py").write_text(MODEL.format(paths=[str(Path.cwd()), *site.getsitepackages()]))
    home = Path(pytriton.__file__).parent / "tritonserver"
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    stub = home / "python_backend_stubs" / "{}.{}".format(*sys.version_info) / "triton_python_backend_stub"
    for file in [*(home / "backends" / "python").iterdir(), stub]:
        (backend / file.name).symlink_to(file)
    arguments = ["--model-repository", str(repository), "--backend-directory", str(backend.parent)]
    arguments += ["--http-address", "127.0.0.1", "--http-port", port, "--allow-grpc", "0", "--allow-metrics", "0"]
    arguments += ["--exit-timeout-secs", "1"]
    program = home / "bin" / "tritonserver"
    os.execv(program, [str(program), *arguments])  # noqa: S606  Triton's own binary


if __name__ == "__main__":
    main(sys.argv[1])
