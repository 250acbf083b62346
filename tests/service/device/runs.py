"""Inputs for the graphs of shipped bundles, and runs of them from the host's tensors and from a device's."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from service.bundle.stage import Stage
from service.device.cache import RowPool
from service.device.runtime import NEXT_ROW, ROW, DeviceRuntime, as_array
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.engine.state import Array, RowLayout

WHOLE_NUMBERS = {"top_k": (0, 5), "filled": (0, 24), "remaining": (1, 9)}


def random_inputs(stage: Stage, num_rows: int, length: int, seed: int = 0) -> dict[str, Array]:
    """Inputs of a batch, with their batch axes."""
    generator = np.random.default_rng(seed)
    inputs = {}
    for spec in stage.inputs:
        shape = spec.sized(num_rows, length)
        if spec.dtype == "int64":
            values: Array = generator.integers(*WHOLE_NUMBERS.get(spec.name, (1, 60)), shape)
        else:
            values = generator.uniform(0.05, 0.95, shape)
        inputs[spec.name] = values.astype(spec.dtype)
    return inputs


def chosen(stage: Stage, inputs: Mapping[str, Array], rows: Sequence[int]) -> dict[str, Array]:
    """The inputs of some rows of a batch."""
    axes = {spec.name: spec.batch_axis for spec in stage.inputs}
    return {name: values.take(rows, axis=axes[name]) for name, values in inputs.items()}


def on_host(runtime: Runtime, stage: Stage, size: int, inputs: dict[str, Array], rows: Sequence[bytes]) -> list[Array]:
    """All outputs and the next rows, from tensors of the host."""
    batch = RowLayout(runtime.bundle.manifest.state).batch(rows)
    names = [*(spec.name for spec in stage.outputs), *(f"{name}_next" for name in stage.writes)]
    named = dict(zip(names, runtime.run(stage.name, size, inputs | batch.tensors(stage.reads), names), strict=True))
    outputs = [named[spec.name] for spec in stage.outputs]
    if not stage.writes:
        return outputs
    return [*outputs, as_array(list(batch.replaced({name: named[f"{name}_next"] for name in stage.writes})))]


def on_device(
    runtime: DeviceRuntime, stage: Stage, size: int, inputs: dict[str, Array], rows: Sequence[bytes]
) -> list[Array]:
    """The same from a device's."""
    names = [spec.name for spec in stage.outputs] + ([NEXT_ROW] if stage.writes else [])
    return runtime.run(stage.name, size, inputs | {ROW: as_array(rows)}, names)


async def steps(engine: Engine, row: bytes, items: Array, length: int) -> tuple[Array, bytes]:
    """Logits of all items and the last row, `length` items a step."""
    logits = []
    for start in range(0, len(items), length):
        part = items[start : start + length]
        advance = await engine.advance("encode", row, {"x": part}, len(part), keep=["logits"])
        logits.append(advance.outputs["logits"])
        row = advance.row
    return np.concatenate(logits), row


async def cut_differently(engine: Engine, row: bytes, items: Array) -> list[tuple[Array, bytes]]:
    """The same for five sequences at once, each in steps of another length."""
    cuts = zip(items, (45, 1, 7, 16, 32), strict=True)
    return await asyncio.gather(*(steps(engine, row, own, cut) for own, cut in cuts))


class Lookups:
    """Counts the batches whose rows a pool holds, and those that have to be uploaded."""

    def __init__(self, pool: RowPool) -> None:
        self._find = pool.ring.find
        pool.ring.find = self.find
        self.num_hits = self.num_misses = 0

    def find(self, digests: Iterable[bytes]) -> list[int] | None:
        """What the pool finds."""
        slots = self._find(digests)
        self.num_hits += slots is not None
        self.num_misses += slots is None
        return slots
