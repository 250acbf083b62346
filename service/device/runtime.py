"""A bundle's graphs on a device, where the state stays between steps."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from onnxruntime import OrtValue

from service.bundle.graph import open_graph
from service.bundle.manifest import Bundle
from service.bundle.stage import Stage, TensorSpec
from service.device.bound import BoundGraph
from service.device.cache import Packer, RowPool, StateTensors, num_slots
from service.device.device import Device
from service.engine.state import Array

logger = logging.getLogger(__name__)

ROW = "row"  # name of the input that is the state: bytes objects (N,), one row each
NEXT_ROW = f"{ROW}_next"


class SizedRung:
    """One rung at one batch size."""

    def __init__(self, graph: BoundGraph, state: StateTensors, stage: Stage) -> None:
        self._graph = graph
        self._state = state
        self._packer: Packer | None = state.packer(stage.writes) if stage.writes else None
        self._input_axes = {spec.name: spec.batch_axis for spec in stage.inputs}
        self._output_axes = {spec.name: spec.batch_axis for spec in stage.outputs}

    def run(self, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        """See DeviceRuntime.run."""
        rows = feeds[ROW].tolist()
        self._state.load(rows)
        for name, axis in self._input_axes.items():
            self._graph.put(name, feeds[name], axis)
        self._graph.run()
        return [self._result(name, len(rows)) for name in names]

    def _result(self, name: str, num_rows: int) -> Array:
        if name == NEXT_ROW and self._packer is not None:
            return as_array(self._packer.keep(num_rows))
        return self._graph.get(name, num_rows, self._output_axes[name])


class DeviceRuntime:
    """Every rung of every stage of a bundle, at every batch size.

    A provider may record a run for the thread that it ran in, so one thread must call both `warm_up` and `run`.

    Args:
        bundle: The bundle.
        device: Where it runs.
        batch_sizes: Rows of the batches, ascending; a batch is padded to the next larger size.
        cache_bytes: Device memory for rows of state.

    Raises:
        BundleGraphMismatch: A graph does not match the manifest.
        ProviderMissing: The provider cannot start.
    """

    def __init__(self, bundle: Bundle, device: Device, batch_sizes: Sequence[int], cache_bytes: int) -> None:
        self.bundle = bundle
        self._device = device
        self._batch_sizes = batch_sizes
        specs = bundle.manifest.state
        self.pool = RowPool(device, specs, num_slots(cache_bytes, specs, batch_sizes[-1]))
        state = {num_rows: StateTensors(self.pool, num_rows) for num_rows in batch_sizes}
        self._rungs: dict[tuple[str, int, int], SizedRung] = {}
        for stage in bundle.manifest.stages:
            for rung in stage.rungs:
                for num_rows, graph in self._open(stage, rung, state).items():
                    self._rungs[stage.name, rung, num_rows] = SizedRung(graph, state[num_rows], stage)

    def run(self, stage: str, rung: int, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        """Run one rung on a batch.

        Args:
            stage: Name of the stage.
            rung: The rung.
            feeds: The stage's inputs, of the manifest's shapes and dtypes, and ROW: bytes objects (N,).
            names: Names of the wanted outputs; may include NEXT_ROW if the stage writes state.

        Returns:
            The wanted outputs in that order, of the manifest's shapes and dtypes; NEXT_ROW as bytes objects (N,).

        Raises:
            StopIteration: N is larger than every batch size.
            Exception: onnxruntime failed. Its errors share no base class.
        """
        return self._rungs[stage, rung, self._padded_size(len(feeds[ROW]))].run(feeds, names)

    def warm_up(self) -> None:
        """Run every rung once at every batch size on zeros: this loads kernels, allocates memory and records runs."""
        for stage in self.bundle.manifest.stages:
            names = [spec.name for spec in stage.outputs] + ([NEXT_ROW] if stage.writes else [])
            for rung in stage.rungs:
                for num_rows in self._batch_sizes:
                    feeds = {spec.name: np.zeros(spec.sized(num_rows, rung), spec.dtype) for spec in stage.inputs}
                    self.run(stage.name, rung, {**feeds, ROW: as_array([self.pool.layout.initial] * num_rows)}, names)

    def _padded_size(self, num_rows: int) -> int:
        return next(own for own in self._batch_sizes if num_rows <= own)

    def _open(self, stage: Stage, rung: int, state: Mapping[int, StateTensors]) -> dict[int, BoundGraph]:
        if self._device.capture_options:
            try:
                graphs = self._bound(stage, rung, state, is_captured=True)
                graphs[self._batch_sizes[0]].run()  # some graphs fail only while being recorded
            except Exception as error:  # onnxruntime's own errors share no base class
                logger.warning(
                    "%s: %s %d cannot be recorded as a CUDA graph and runs more slowly: %s",
                    self.bundle.tag,
                    stage.name,
                    rung,
                    error,
                )
            else:
                return graphs
        return self._bound(stage, rung, state, is_captured=False)

    def _bound(
        self, stage: Stage, rung: int, state: Mapping[int, StateTensors], is_captured: bool
    ) -> dict[int, BoundGraph]:
        session = open_graph(self.bundle, stage, rung, self._device.providers(is_captured))
        self._device.check(session)
        graphs = {}
        for num_rows, own in state.items():
            inputs = self._zeros(stage.inputs, num_rows, rung) | {name: own.before[name] for name in stage.reads}
            outputs = self._zeros(stage.outputs, num_rows, rung) | {f"{n}_next": own.after[n] for n in stage.writes}
            graphs[num_rows] = BoundGraph(session, inputs, outputs, capture=num_rows)
        return graphs

    def _zeros(self, specs: Sequence[TensorSpec], num_rows: int, rung: int) -> dict[str, OrtValue]:
        return {spec.name: self._device.zeros(spec.sized(num_rows, rung), spec.dtype) for spec in specs}


def as_array(rows: Sequence[bytes]) -> Array:
    """Return rows as an array of bytes objects (N,)."""
    return np.array(rows, dtype=object)
