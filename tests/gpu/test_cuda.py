"""CUDA: parity with the CPU over carried state, and bits that depend neither on a batch, nor a cut, nor the cache."""

from collections.abc import Sequence

import numpy as np
import pytest

from service.bundle.manifest import read_bundle
from service.bundle.stage import Stage
from service.device.batch import DeviceBatchBuilder
from service.device.device import Device, batch_sizes
from service.device.runtime import DeviceRuntime
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.engine.state import Array, RowLayout
from tests.fakes.graphs import RecordingObserver
from tests.gpu.conftest import CACHE_BYTES
from tests.paths import MODELS
from tests.service.device.runs import Lookups, chosen, cut_differently, on_device, on_host, random_inputs, steps

pytestmark = [pytest.mark.gpu, pytest.mark.anyio]
N = 70  # in the second of the batch sizes
TOLERANCE = 1e-4


def ladder(runtime: DeviceRuntime) -> list[tuple[Stage, int]]:
    """Every stage and rung."""
    return [(stage, size) for stage in runtime.bundle.manifest.stages for size in stage.rungs]


def as_values(layout: RowLayout, names: Sequence[str], output: Array) -> list[Array]:
    """An output as numbers: rows as the tensors in them."""
    if output.dtype != object:
        return [output]
    return [layout.tensor(row, name) for row in output.tolist() for name in names]


def test_outputs_and_state_are_those_of_the_cpu(runtime: DeviceRuntime, host: Runtime) -> None:
    layout, names = runtime.pool.layout, [spec.name for spec in runtime.bundle.manifest.state]
    on_cpu = on_gpu = [layout.initial] * N
    for stage, size in ladder(runtime):
        inputs = random_inputs(stage, N, size, seed=size)
        expected, found = on_host(host, stage, size, inputs, on_cpu), on_device(runtime, stage, size, inputs, on_gpu)
        for left, right in zip(expected, found, strict=True):
            pairs = zip(as_values(layout, names, left), as_values(layout, names, right), strict=True)
            for own, other in pairs:
                np.testing.assert_allclose(other, own, rtol=0, atol=TOLERANCE)
        if stage.writes:
            on_cpu, on_gpu = expected[-1].tolist(), found[-1].tolist()


def test_a_row_has_the_same_bits_in_any_batch(runtime: DeviceRuntime) -> None:
    rows = [runtime.pool.layout.initial] * N
    for stage, size in ladder(runtime):
        inputs = random_inputs(stage, N, size, seed=size)
        together = on_device(runtime, stage, size, inputs, rows)
        for some in ([0], [5], [69, 3], list(range(64)), list(range(N - 1, -1, -1))):
            apart = on_device(runtime, stage, size, chosen(stage, inputs, some), [rows[n] for n in some])
            axes = [spec.batch_axis for spec in stage.outputs] + [0]
            for left, right, axis in zip(together, apart, axes, strict=False):
                np.testing.assert_array_equal(left.take(some, axis=axis), right)
        if stage.writes:
            rows = together[-1].tolist()


def test_a_hit_has_the_bits_of_an_upload(runtime: DeviceRuntime, device: Device) -> None:
    forgetful = DeviceRuntime(runtime.bundle, device, batch_sizes(64), cache_bytes=0)
    stage = runtime.bundle.manifest.stage("encode")
    kept = uploaded = [runtime.pool.layout.initial] * 3
    found, missed = Lookups(runtime.pool), Lookups(forgetful.pool)
    for seed in range(4):
        inputs = random_inputs(stage, 3, 1, seed)
        other = random_inputs(stage, 64, 1, seed=100 + seed)
        kept = on_device(runtime, stage, 1, inputs, kept)[-1].tolist()
        uploaded = on_device(forgetful, stage, 1, inputs, uploaded)[-1].tolist()
        for _ in range(3):  # strangers push the rows out of the small pool
            on_device(forgetful, stage, 1, other, [forgetful.pool.layout.initial] * 64)
        assert kept == uploaded
    assert found.num_hits == 4
    assert missed.num_misses >= 3


async def test_any_cut_and_any_company_give_the_same_bits(device: Device) -> None:
    runtime = DeviceRuntime(read_bundle(MODELS / "generation"), device, batch_sizes(64), CACHE_BYTES)
    engine = Engine(runtime, RecordingObserver(), builder=DeviceBatchBuilder(runtime))
    engine.start()
    items = np.random.default_rng(3).integers(0, 60, (5, 45))
    expected = [await steps(engine, runtime.pool.layout.initial, own, len(own)) for own in items]
    found = await cut_differently(engine, runtime.pool.layout.initial, items)
    await engine.stop()
    for (left, left_row), (right, right_row) in zip(expected, found, strict=True):
        np.testing.assert_array_equal(left, right)
        assert left_row == right_row
