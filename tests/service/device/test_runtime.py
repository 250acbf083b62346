"""A device runtime gives what onnxruntime gives from the host's tensors: bit for bit where both run on the CPU."""

import numpy as np
import pytest

from service.bundle.manifest import Bundle
from service.bundle.session_options import CPU_PROVIDER
from service.device.bound import BoundGraph
from service.device.device import CPU, Device, batch_sizes
from service.device.runtime import DeviceRuntime
from service.engine.runtime import ProviderMissing, Runtime
from service.engine.state import RowLayout
from tests.service.device.runs import Lookups, on_device, on_host, random_inputs

N = 3
SIZES = (4, 8)
CACHE_BYTES = 2**20


def test_every_rung_gives_the_bits_of_the_host(bundle: Bundle) -> None:
    host, device = Runtime(bundle), DeviceRuntime(bundle, CPU, SIZES, CACHE_BYTES)
    lookups = Lookups(device.pool)
    rows = [RowLayout(bundle.manifest.state).initial] * N
    for stage in bundle.manifest.stages:
        for size in stage.rungs:
            inputs = random_inputs(stage, N, size, seed=size)
            expected = on_host(host, stage, size, inputs, rows)
            found = on_device(device, stage, size, inputs, rows)
            for left, right in zip(expected, found, strict=True):
                np.testing.assert_array_equal(left, right)
            if stage.writes:
                rows = found[-1].tolist()
    assert lookups.num_misses == 0


def test_what_was_answered_is_not_changed_by_later_runs(generation: Bundle) -> None:
    stage, device = generation.manifest.stage("encode"), DeviceRuntime(generation, CPU, SIZES, CACHE_BYTES)
    rows = [RowLayout(generation.manifest.state).initial] * N
    first = on_device(device, stage, 1, random_inputs(stage, N, 1), rows)
    kept = first[0].copy()
    on_device(device, stage, 1, random_inputs(stage, N, 1, seed=1), first[-1].tolist())
    np.testing.assert_array_equal(first[0], kept)


def test_a_batch_with_a_row_that_is_not_there_is_uploaded_and_gives_the_same_bits(generation: Bundle) -> None:
    stage, device = generation.manifest.stage("encode"), DeviceRuntime(generation, CPU, SIZES, CACHE_BYTES)
    inputs, lookups = random_inputs(stage, N, 8), Lookups(device.pool)
    rows = on_device(device, stage, 8, inputs, [device.pool.layout.initial] * N)[-1].tolist()
    hit = on_device(device, stage, 8, inputs, rows)
    stranger = np.random.default_rng(5).random(device.pool.layout.num_bytes // 4, np.float32).tobytes()
    missed = on_device(device, stage, 8, inputs, [*rows[:2], stranger])
    assert (lookups.num_hits, lookups.num_misses) == (2, 1)
    np.testing.assert_array_equal(hit[0][:2], missed[0][:2])
    assert hit[-1][:2].tolist() == missed[-1][:2].tolist()
    assert hit[-1][2] != missed[-1][2]


def test_a_small_pool_forgets_and_stays_right(generation: Bundle) -> None:
    stage, host = generation.manifest.stage("encode"), Runtime(generation)
    device = DeviceRuntime(generation, CPU, SIZES, cache_bytes=0)
    lookups = Lookups(device.pool)
    sessions = [[device.pool.layout.initial] * N for _ in range(8)]
    for turn in range(3):
        for number, rows in enumerate(sessions):
            inputs = random_inputs(stage, N, 2, seed=10 * turn + number)
            expected = on_host(host, stage, 2, inputs, rows)
            found = on_device(device, stage, 2, inputs, rows)
            np.testing.assert_array_equal(expected[0], found[0])
            sessions[number] = found[-1].tolist()
            assert sessions[number] == expected[-1].tolist()
    assert lookups.num_misses > 0


def test_rows_that_fill_a_batch_up_are_seen_by_nobody(generation: Bundle) -> None:
    stage, device = generation.manifest.stage("encode"), DeviceRuntime(generation, CPU, SIZES, CACHE_BYTES)
    logits, rows = on_device(device, stage, 1, random_inputs(stage, 5, 1), [device.pool.layout.initial] * 5)
    assert (len(logits), len(rows)) == (5, 5)


def test_a_provider_that_onnxruntime_leaves_out_is_missed(generation: Bundle) -> None:
    runtime = Runtime(generation)
    with pytest.raises(ProviderMissing, match="could not start NoSuchProvider"):
        Device("cpu", "NoSuchProvider").check(runtime._graphs["encode", 1].session)


def test_a_graph_that_cannot_be_recorded_runs_all_the_same(
    generation: Bundle, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: BoundGraph) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(BoundGraph, "run", refuse)
    recording = Device("cpu", CPU_PROVIDER, capture_options={"arena": "1"})
    device = DeviceRuntime(generation, recording, SIZES, CACHE_BYTES)
    monkeypatch.undo()
    assert "encode 8 cannot be recorded as a CUDA graph and runs more slowly: operation not permitted" in caplog.text
    stage = generation.manifest.stage("encode")
    assert len(on_device(device, stage, 8, random_inputs(stage, N, 8), [device.pool.layout.initial] * N)[-1]) == N


def test_batches_are_filled_up_to_few_sizes() -> None:
    assert [batch_sizes(rows) for rows in (1, 64, 65, 1024)] == [(64,), (64,), (64, 256), (64, 256, 1024)]
