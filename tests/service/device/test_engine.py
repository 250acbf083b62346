"""The engine over a device runtime: the same answers as over the host's, however sequences are cut and batched."""

import asyncio

import numpy as np
import pytest

from service.bundle.manifest import Bundle
from service.device.batch import DeviceBatchBuilder
from service.device.device import CPU
from service.device.runtime import DeviceRuntime
from service.engine.engine import Engine
from service.engine.runtime import Runtime
from service.engine.state import RowLayout
from tests.fakes.graphs import RecordingObserver
from tests.service.device.runs import steps

pytestmark = pytest.mark.anyio
LENGTH = 45


def on_device(bundle: Bundle) -> Engine:
    runtime = DeviceRuntime(bundle, CPU, (4, 16), cache_bytes=2**20)
    return Engine(runtime, RecordingObserver(), max_batch_rows=16, builder=DeviceBatchBuilder(runtime))


async def test_any_cut_and_any_company_give_the_bits_of_the_host(generation: Bundle) -> None:
    items = np.random.default_rng(3).integers(0, 60, (5, LENGTH))
    row = RowLayout(generation.manifest.state).initial
    host, device = Engine(Runtime(generation), RecordingObserver()), on_device(generation)
    for engine in (host, device):
        engine.start()
    expected = [await steps(host, row, own, LENGTH) for own in items]
    found = await asyncio.gather(
        *(steps(device, row, own, cut) for own, cut in zip(items, (45, 1, 7, 16, 32), strict=True))
    )
    for engine in (host, device):
        await engine.stop()
    for (left, left_row), (right, right_row) in zip(expected, found, strict=True):
        np.testing.assert_array_equal(left, right)
        assert left_row == right_row


async def test_no_run_leaves_the_engines_thread(generation: Bundle) -> None:
    assert not DeviceBatchBuilder(DeviceRuntime(generation, CPU, (4,), cache_bytes=0)).may_run_inline
