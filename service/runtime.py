"""The graphs of one bundle in onnxruntime: rows in, rows out. Holds no decision and no queue."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from service.bundle.graph import CPU_PROVIDER, graph_inputs, graph_outputs, open_graph
from service.bundle.manifest import Bundle, TensorSpec
from service.state import Array, Row, split, stack

PROVIDERS = {"cpu": (CPU_PROVIDER,), "cuda": ("CUDAExecutionProvider", CPU_PROVIDER)}


class ProviderMissing(Exception):
    """The execution provider that was asked for is not in the onnxruntime that is installed."""


@dataclass(frozen=True)
class Rung:
    """One opened graph with the form of what goes in and comes out."""

    session: ort.InferenceSession
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, rows: Sequence[Row]) -> list[dict[str, Array]]:
        """Run a batch: each row holds every input without its batch axis, and each result every output."""
        names = [output.name for output in self.outputs]
        arrays = self.session.run(names, stack(rows, self.inputs))
        return split(dict(zip(names, arrays, strict=True)), self.outputs, len(rows))


class Runtime:
    """Every rung of every stage of a bundle.

    Raises:
        ProviderMissing: The installed onnxruntime cannot run on that device.
        BundleGraphMismatch: A graph is not what the manifest says.
    """

    def __init__(self, bundle: Bundle, provider: str = "cpu") -> None:
        providers = available_providers(provider)
        self.bundle = bundle
        self._rungs: dict[tuple[str, int], Rung] = {
            (stage.name, size): Rung(
                open_graph(bundle, stage, size, providers), graph_inputs(bundle, stage), graph_outputs(bundle, stage)
            )
            for stage in bundle.manifest.stages
            for size in stage.rungs
        }

    def run(self, stage: str, size: int, rows: Sequence[Row]) -> list[dict[str, Array]]:
        """Run one rung on a batch of rows."""
        return self._rungs[stage, size].run(rows)

    def warm_up(self) -> None:
        """Run every rung once on zeros, so that the first request finds all memory allocated and weights packed."""
        for (_, size), rung in self._rungs.items():
            rung.run([_zeros(rung.inputs, size)])


def available_providers(provider: str) -> tuple[str, ...]:
    """The onnxruntime providers for a device, "cpu" or "cuda"."""
    wanted = PROVIDERS[provider]
    missing = [name for name in wanted if name not in ort.get_available_providers()]
    if missing:
        raise ProviderMissing(
            f"provider {provider!r} needs {missing[0]}, which this onnxruntime {ort.__version__} lacks; "
            "install it with `make serve ORT=gpu`, or set UNROLLED_PROVIDER=cpu"
        )
    return wanted


def _zeros(specs: Sequence[TensorSpec], size: int) -> dict[str, Array]:
    shapes = {spec.name: [size if axis == "T" else axis for axis in spec.shape if axis != "N"] for spec in specs}
    return {spec.name: np.zeros(tuple(map(int, shapes[spec.name])), dtype=spec.dtype) for spec in specs}
