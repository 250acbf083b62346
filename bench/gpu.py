"""`make bench-gpu`: rows per second by batch size on a GPU, with and without the state cache, against one CPU thread.

All sides take and return rows as the store keeps them:

    cpu        tensors from the rows, onnxruntime on the CPU
    cuda       the same on CUDA, state and outputs through the host's memory
    uploaded   the service's device runtime, with no row in its cache
    cached     the same, with all rows in its cache
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from bench.baselines import GENERATION
from bench.command import run_command
from bench.figure import Figure, Unavailable
from bench.raw import draw
from bench.report import line
from service.bundle.manifest import Bundle, read_bundle
from service.bundle.stage import Stage
from service.device.device import Device, batch_sizes, cuda
from service.device.runtime import NEXT_ROW, ROW, DeviceRuntime, as_array
from service.engine.numerics import gpu_features
from service.engine.runtime import ProviderMissing, Runtime
from service.engine.state import Array, RowLayout

BATCHES = (1, 8, 64, 256, 1024)
STAGES = ("encode", "decode")
CACHE_BYTES = 2**28
SECONDS = 0.4
MIN_RUNS = 3

Rows = Sequence[bytes]
Step = Callable[[Mapping[str, Array], Rows], Rows]


def measure(device: Device, batches: Sequence[int] = BATCHES, seconds: float = SECONDS) -> Iterator[Figure]:
    """Measure the rows per second of the shortest and longest rungs, for every batch size and side.

    Args:
        device: The GPU.
        batches: N of each batch.
        seconds: How long each is measured, but at least three runs.
    """
    bundle = read_bundle(GENERATION)
    hosts = {"cpu": Runtime(bundle), "cuda": Runtime(bundle, device.providers(is_captured=False))}
    on_device = DeviceRuntime(bundle, device, batch_sizes(max(batches)), CACHE_BYTES)
    on_device.warm_up()
    for stage, size in ends(bundle):
        for num_rows in batches:
            inputs = draw(bundle, stage.name, size, num_rows, np.random.default_rng(0))
            steps = {side: host_step(runtime, stage, size) for side, runtime in hosts.items()}
            device_run = device_step(on_device, stage, size)
            uncached, initial = uncached_rows(bundle, num_rows), [on_device.pool.layout.initial] * num_rows
            steps["uploaded"] = lambda fed, _, run=device_run, rows=uncached: run(fed, rows)  # type: ignore[misc]
            steps["cached"] = device_run
            for side, step in steps.items():
                rate = num_rows / seconds_a_run(step, inputs, initial, seconds)
                yield Figure(f"{stage.name} T={size} N={num_rows}, {side}", rate, "rows/s")


def ends(bundle: Bundle) -> list[tuple[Stage, int]]:
    """Return the shortest and the longest rung of each stage."""
    stages = [bundle.manifest.stage(name) for name in STAGES]
    return [(stage, size) for stage in stages for size in sorted({min(stage.rungs), max(stage.rungs)})]


def host_step(runtime: Runtime, stage: Stage, size: int) -> Step:
    """Make a step whose state is on the host."""
    layout = RowLayout(runtime.bundle.manifest.state)
    names = [*wanted(stage), *(f"{name}_next" for name in stage.writes)]

    def step(inputs: Mapping[str, Array], rows: Rows) -> Rows:
        batch = layout.batch(rows)
        results = runtime.run(stage.name, size, {**inputs, **batch.tensors(stage.reads)}, names)
        return batch.replaced(dict(zip(stage.writes, results[-len(stage.writes) :], strict=True)))

    return step


def device_step(runtime: DeviceRuntime, stage: Stage, size: int) -> Step:
    """Make a step whose state is on the device, if it is cached there."""

    def step(inputs: Mapping[str, Array], rows: Rows) -> Rows:
        results = runtime.run(stage.name, size, {**inputs, ROW: as_array(rows)}, [*wanted(stage), NEXT_ROW])
        following: list[bytes] = results[-1].tolist()
        return following

    return step


def wanted(stage: Stage) -> list[str]:
    """Return the names of the outputs to read besides the state: the tokens of the decoding stage, or none."""
    return ["tokens"] if stage.name == "decode" else []


def seconds_a_run(step: Step, inputs: Mapping[str, Array], rows: Rows, seconds: float) -> float:
    """Return the median seconds of a run, feeding the rows of each run to the next."""
    for _ in range(2):
        rows = step(inputs, rows)
    durations: list[float] = []
    while len(durations) < MIN_RUNS or sum(durations) < seconds:
        started = time.perf_counter()
        rows = step(inputs, rows)
        durations.append(time.perf_counter() - started)
    return float(np.median(durations))


def uncached_rows(bundle: Bundle, num_rows: int) -> Rows:
    """Return rows that no run has written, so that they are not cached."""
    length = RowLayout(bundle.manifest.state).num_bytes // 4
    generator = np.random.default_rng(1)
    return [generator.uniform(-0.9, 0.9, length).astype(np.float32).tobytes() for _ in range(num_rows)]


def gpu() -> Device:
    """Return the GPU.

    Raises:
        Unavailable: There is none, or onnxruntime cannot use it.
    """
    try:
        device = cuda()
        DeviceRuntime(read_bundle(GENERATION), device, (1,), cache_bytes=0)
    except ProviderMissing as error:
        raise Unavailable(str(error)) from error
    return device


def main() -> int:
    """Measure and print, or say why there is no GPU. Returns the exit status."""
    try:
        device = gpu()
    except Unavailable as error:
        print(f"bench-gpu: not measured: {error}")
        return 0
    print(*gpu_features(), sep="\n")
    for figure in measure(device):
        print(line(figure), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
