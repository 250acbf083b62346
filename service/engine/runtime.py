"""The graphs of one bundle in onnxruntime. Decides nothing and queues nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from service.bundle.errors import GraphUnavailable
from service.bundle.graph import Provider, graph_inputs, graph_outputs, open_graph
from service.bundle.manifest import Bundle
from service.bundle.prepared_graphs import PreparedGraphs
from service.bundle.session_options import CPU_PROVIDER
from service.bundle.stage import TensorSpec
from service.concurrency.failures import FailureLog
from service.engine.state import Array
from service.errors import OutOfResources

PROVIDERS = {"cpu": (CPU_PROVIDER,), "cuda": ("CUDAExecutionProvider", CPU_PROVIDER)}


class ProviderMissing(Exception):
    """The installed onnxruntime has no such execution provider."""


@dataclass(frozen=True)
class OpenGraph:
    """The opened graph of a rung, with its input and output tensors."""

    session: ort.InferenceSession
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Runtime:
    """The rungs of a bundle. The shortest of each stage is opened at once, the others when they are first run.

    Each open rung that is not prepared holds its own copies of the weights, both unpacked and packed for its products.
    Opening unused rungs would take most of the memory and of the startup time.

    Args:
        bundle: The bundle.
        providers: onnxruntime's execution providers, the preferred one first.
        prepared: The bundle's graphs in their prepared form; see `open_graph`.

    Raises:
        BundleGraphMismatch: A graph does not match the manifest.
    """

    def __init__(
        self,
        bundle: Bundle,
        providers: Sequence[Provider] = (CPU_PROVIDER,),
        prepared: PreparedGraphs | None = None,
    ) -> None:
        self.bundle = bundle
        self._providers = providers
        self._prepared = prepared
        self._stages = {stage.name: stage for stage in bundle.manifest.stages}
        self._graphs: dict[tuple[str, int], OpenGraph] = {}
        self._not_opened = FailureLog(f"a graph of {bundle.tag} cannot be opened now")
        for stage in bundle.manifest.stages:
            self._open(stage.name, min(stage.rungs))

    def open_all(self) -> None:
        """Open every rung."""
        for stage in self.bundle.manifest.stages:
            for rung in stage.rungs:
                self._graph(stage.name, rung)

    def run(self, stage: str, rung: int, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        """Run one rung on a batch, opening it first if necessary.

        Args:
            stage: Name of the stage.
            rung: T of the graph.
            feeds: Every input of the graph, of the manifest's shapes and dtypes, with the same N.
            names: Names of the wanted outputs: the stage's, and `<name>_next` of each state tensor that it writes.

        Returns:
            The wanted outputs in that order, of the manifest's shapes and dtypes.

        Raises:
            BundleGraphMismatch: The graph, opened only now, does not match the manifest.
            OutOfResources: The graph cannot be opened now, but may be later. This is logged.
            Exception: onnxruntime failed. Its errors share no base class.
        """
        try:
            graph = self._graph(stage, rung)
        except GraphUnavailable as error:
            self._not_opened.log(error)
            raise OutOfResources("this worker lacks the files or the memory for it now; try again") from error
        results: list[Array] = graph.session.run(names, feeds)
        return results

    def warm_up(self) -> None:
        """Run every open rung once on zeros, which allocates memory and packs weights."""
        for (stage, rung), graph in self._graphs.items():
            self.run(stage, rung, _zeros(graph.inputs, rung), [output.name for output in graph.outputs])

    def _graph(self, stage: str, rung: int) -> OpenGraph:
        return self._graphs.get((stage, rung)) or self._open(stage, rung)

    def _open(self, name: str, rung: int) -> OpenGraph:
        stage = self._stages[name]
        session = open_graph(self.bundle, stage, rung, self._providers, self._prepared)
        graph = OpenGraph(session, graph_inputs(self.bundle, stage), graph_outputs(self.bundle, stage))
        self._graphs[name, rung] = graph
        return graph


def available_providers(provider: str) -> tuple[str, ...]:
    """Return the onnxruntime providers for a device, "cpu" or "cuda".

    Raises:
        ProviderMissing: The installed onnxruntime lacks one of them.
    """
    wanted = PROVIDERS[provider]
    missing = [name for name in wanted if name not in ort.get_available_providers()]
    if missing:
        raise ProviderMissing(
            f"provider {provider!r} needs {missing[0]}, which this onnxruntime {ort.__version__} lacks; "
            "install it with `make serve ORT=gpu`, or set UNROLLED_PROVIDER=cpu"
        )
    return wanted


def _zeros(specs: Sequence[TensorSpec], rung: int) -> dict[str, Array]:
    """Return a batch of one row."""
    return {spec.name: np.zeros(spec.sized(1, rung), dtype=spec.dtype) for spec in specs}
