"""The device of a device runtime: onnxruntime's provider, its options, and tensors in its memory.

Two rules make a row's bits on CUDA independent of what shares its batch, and of how its sequence was cut into rungs
(docs/log.md has the measurement):

    * cuBLAS has no workspace, so it cannot split a sum over the inner axis among blocks depending on the shape;
    * a batch is padded to MIN_BATCH_ROWS rows or more, since very flat products use other kernels.

tf32 is off: its products keep only ten bits of the mantissa, which would break parity with the CPU.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnxruntime as ort

from service.bundle.graph import Provider
from service.bundle.session_options import CPU_PROVIDER
from service.engine.runtime import ProviderMissing, available_providers
from service.engine.state import Array

CUDA_PROVIDER = "CUDAExecutionProvider"
MIN_BATCH_ROWS = 64
CUDA_OPTIONS = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
CAPTURE_OPTIONS = {"enable_cuda_graph": "1"}


@dataclass(frozen=True)
class Device:
    """A provider and the memory that it computes in.

    Attributes:
        memory: onnxruntime's name for the memory: "cuda" or "cpu".
        provider: The provider's name.
        options: Its options.
        capture_options: Further options that make it record a run and replay it; empty if it cannot.
    """

    memory: str
    provider: str
    options: Mapping[str, str] = field(default_factory=dict)
    capture_options: Mapping[str, str] = field(default_factory=dict)

    def providers(self, is_captured: bool) -> list[Provider]:
        """Return the providers to open a session with."""
        options = {**self.options, **(self.capture_options if is_captured else {})}
        return [(self.provider, options), *([CPU_PROVIDER] if self.provider != CPU_PROVIDER else [])]

    def zeros(self, shape: Sequence[int], dtype: str) -> ort.OrtValue:
        """Return a tensor of zeros in device memory."""
        return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype), self.memory, 0)

    def check(self, session: ort.InferenceSession) -> None:
        """Raise ProviderMissing if onnxruntime has silently dropped the provider."""
        if self.provider not in session.get_providers():
            raise ProviderMissing(
                f"onnxruntime {ort.__version__} could not start {self.provider}; its messages above say why "
                "(a missing driver or CUDA library, or no GPU)"
            )


CPU = Device("cpu", CPU_PROVIDER)


def cuda() -> Device:
    """Return the GPU.

    Raises:
        ProviderMissing: The installed onnxruntime has no CUDA.
    """
    available_providers("cuda")
    # cuBLAS reads this when it creates its first handle.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":0:0"
    ort.preload_dlls()
    return Device("cuda", CUDA_PROVIDER, CUDA_OPTIONS, CAPTURE_OPTIONS)


def batch_sizes(max_batch_rows: int) -> tuple[int, ...]:
    """Return the numbers of rows that batches are padded to."""
    sizes = [MIN_BATCH_ROWS]
    while sizes[-1] < max_batch_rows:
        sizes.append(sizes[-1] * 4)
    return tuple(sizes)


def host_values(tensor: ort.OrtValue) -> Array:
    """Return a tensor's values, in host memory that no later run overwrites."""
    values: Array = tensor.numpy()
    return values if values.flags.owndata else values.copy()
