"""The proof that a bundle's graphs are the model: the same numbers, and the same bits in every batch and every cut.

    trained   the pass that training runs, `forward` of the model, against the graphs: see `trained`
    torch     the pass that is exported, `unroll` in torch, against onnxruntime over five chunks with carried state
    float32   for int8 graphs: the float32 ones that they were made from against them. The error has no limit
    batch     each row alone against the same row in batches of 2, 7, 16 and 64
    nan       rows against the same rows beside one of NaN
    steps     single steps against a rung
    cuts      a length cut into rungs at random, several times, against single steps
    reading   the state after sampling against the encoder's after reading the same tokens
    horizon   a forecast against the beginning of the longest one

All checks except "trained", "torch" and "float32" demand the same bits. The graphs are opened with the options that
serve. Rows are drawn with a fixed seed and, except in "trained", start from states that have read something.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from tqdm import tqdm  # type: ignore[import-untyped]

from export.proof.report import Check, Report
from export.recipes.registry import recipe
from export.running.rungs import Answer, Rungs, differing_values, take_rows, take_time
from export.stages import Arrays, StagePlan, as_tensors
from export.weights import rounded
from service.bundle.stage import ITEM_STAGE, TensorSpec
from training.checkpoint import Checkpoint
from training.models.generation import IMPOSSIBLE_LOGIT

Numbers = NDArray[Any]

MAX_ERROR = 1e-5
CHUNKS = 5
BATCHES = (2, 7, 16, 64)
ROWS = 3
NUM_CUTS = 4
SEED = 1


def prove(rungs: Rungs, source: Checkpoint | Rungs) -> Report:
    """Run all checks on the graphs of a bundle.

    Args:
        rungs: The graphs.
        source: What they were made from: the checkpoint, or the float32 graphs of int8 ones, which take its place.

    Returns:
        The result of every check, passed or not.
    """
    stages = rungs.stages.values()
    checks = [check for stage in stages for check in (*_comparisons(rungs, stage, source), *_checks(rungs, stage))]
    if isinstance(source, Checkpoint):
        checks.append(partial(trained, rungs, source))
    return _run(checks)


def prove_alone(rungs: Rungs) -> Report:
    """Run the checks that need nothing but the graphs: all except "torch", "float32" and "trained"."""
    return _run([check for stage in rungs.stages.values() for check in _checks(rungs, stage)])


def _run(checks: Sequence[Callable[[], Check]]) -> Report:
    bar = tqdm(checks, desc="proving parity", unit=" checks", leave=False, disable=None)
    return Report(tuple(check() for check in bar), onnxruntime=ort.__version__, torch=torch.__version__)


def _checks(rungs: Rungs, stage: StagePlan) -> list[Callable[[], Check]]:
    """List the checks of a stage alone. Those that compare rungs need more than one rung."""
    smallest, largest = min(stage.sizes), max(stage.sizes)
    checks: list[Callable[[], Check]] = [
        partial(check, rungs, stage, size) for check in (_batch, _nan) for size in stage.sizes
    ]
    if stage.kind == "forecasts":
        return [*checks, *(partial(_horizon, rungs, stage, size) for size in stage.sizes if size < largest)]
    if stage.kind == "steps":
        return checks
    checks += [partial(_steps, rungs, stage, size) for size in stage.sizes if size > 1]
    if largest > smallest:
        checks.append(partial(_cuts, rungs, stage, largest))
    if stage.kind == "samples" and ITEM_STAGE in rungs.stages:
        checks.append(partial(_reading, rungs, stage, largest))
    return checks


def _comparisons(rungs: Rungs, stage: StagePlan, source: Checkpoint | Rungs) -> list[Callable[[], Check]]:
    if isinstance(source, Checkpoint):
        return [partial(_torch, rungs, stage, size) for size in stage.sizes]
    # Sampling is not compared: after one different token, everything that follows is a different text.
    return [partial(_float32, rungs, source, stage, size) for size in stage.sizes if stage.kind != "samples"]


def trained(rungs: Rungs, checkpoint: Checkpoint) -> Check:
    """Compare the graphs of all stages, one after the other on whole inputs, with `forward` of the trained model.

    "torch" proves that the graphs compute what `unroll` does, rung by rung, but training and the checkpoint's figures
    run `forward`. If `unroll` were another model, only this check would notice it, and the card's figures, which are
    measured by `forward`, would not be the graphs' own.
    """
    model = rounded(checkpoint.model)
    with torch.inference_mode():
        found, expected = recipe(checkpoint.task).compare(model, rungs, np.random.default_rng(SEED), ROWS)
    errors = [_error(found[name], expected[name], 0, np.ones(len(expected[name]))) for name in expected]
    return Check("trained", "all", 0, float(np.max(errors)), MAX_ERROR)


def _torch(rungs: Rungs, stage: StagePlan, size: int) -> Check:
    graph = stage.build(size).eval()
    error = _compare(rungs, stage, size, partial(_run_torch, graph, stage))
    return Check("torch", stage.name, size, error, MAX_ERROR)


def _float32(rungs: Rungs, float32: Rungs, stage: StagePlan, size: int) -> Check:
    error = _compare(rungs, stage, size, partial(float32.run, float32.stages[stage.name], size))
    return Check("float32", stage.name, size, error, np.inf)


def _compare(rungs: Rungs, stage: StagePlan, size: int, reference: Callable[[Arrays, Arrays], Answer]) -> float:
    """Return the largest error over CHUNKS. Graph and reference each carry their own state if the stage writes one."""
    rng = np.random.default_rng(SEED)
    # In a fresh sequence all tokens are equally probable, and torch breaks ties arbitrarily. So sampling starts from a
    # state that has read something.
    state = rungs.initial_state(ROWS) if stage.fit == "exact" else _read(rungs, rng, ROWS)
    found = expected = Answer({}, state)
    error = 0.0
    for _ in range(CHUNKS):
        if not stage.writes:
            found = expected = Answer({}, _read(rungs, rng, ROWS))
        inputs = stage.draw(rng, ROWS, size)
        expected = reference(inputs, expected.state)
        units = recipe(rungs.task).error_units(expected.state, ROWS)
        found = rungs.run(stage, size, inputs, found.state)
        errors = [
            *(_error(found.outputs[s.name], expected.outputs[s.name], s.batch_axis, units) for s in stage.outputs),
            *(_error(found.state[s.name], expected.state[s.name], s.batch_axis, units) for s in rungs.state_specs),
        ]
        error = float(np.max([error, *errors]))  # unlike max(), this keeps a NaN
    return error


def _batch(rungs: Rungs, stage: StagePlan, size: int) -> Check:
    rng = np.random.default_rng(SEED)
    inputs, state = stage.draw(rng, max(BATCHES), size), _read(rungs, rng, max(BATCHES))
    alone = [_run_rows(rungs, stage, size, inputs, state, np.array([row])) for row in range(max(BATCHES))]
    found = 0
    for N in BATCHES:
        rows = rng.permutation(max(BATCHES))[:N]
        together = _run_rows(rungs, stage, size, inputs, state, rows)
        for position, row in enumerate(rows):
            found += _differing(rungs, stage, together, alone[row], [position])
    return Check("batch", stage.name, size, found)


def _nan(rungs: Rungs, stage: StagePlan, size: int) -> Check:
    rng = np.random.default_rng(SEED)
    inputs, state = stage.draw(rng, ROWS, size), _read(rungs, rng, ROWS)
    clean = rungs.run(stage, size, inputs, state)
    poisoned = rungs.run(stage, size, _poison(stage.inputs, inputs, row=1), _poison(rungs.state_specs, state, row=1))
    others = [0, 2]
    kept = Answer(take_rows(stage.outputs, clean.outputs, others), take_rows(rungs.state_specs, clean.state, others))
    return Check("nan", stage.name, size, _differing(rungs, stage, poisoned, kept, others))


def _steps(rungs: Rungs, stage: StagePlan, size: int) -> Check:
    rng = np.random.default_rng(SEED)
    inputs, state = stage.draw(rng, ROWS, size), _read(rungs, rng, ROWS)
    whole = rungs.run(stage, size, inputs, state)
    steps = rungs.run_cut(stage, inputs, state, [1] * size)
    return Check("steps", stage.name, size, _differing(rungs, stage, whole, steps, range(ROWS)))


def _cuts(rungs: Rungs, stage: StagePlan, largest: int) -> Check:
    rng = np.random.default_rng(SEED)
    length = sum(stage.sizes) + largest // 2
    inputs, state = stage.draw(rng, ROWS, length), _read(rungs, rng, ROWS)
    steps = rungs.run_cut(stage, inputs, state, [1] * length)
    found = 0
    for _ in range(NUM_CUTS):
        cut = rungs.run_cut(stage, inputs, state, _draw_cut(rng, stage, length))
        found += _differing(rungs, stage, cut, steps, range(ROWS))
    return Check("cuts", stage.name, 0, found)


def _reading(rungs: Rungs, stage: StagePlan, largest: int) -> Check:
    rng = np.random.default_rng(SEED)
    encode = rungs.stages[ITEM_STAGE]
    state = _read(rungs, rng, ROWS)
    remaining = np.array([largest, (largest + 1) // 2, 1])
    sampled = rungs.run(stage, largest, {**stage.draw(rng, ROWS, largest), "remaining": remaining}, state)
    found = 0
    for row, length in enumerate(remaining):
        tokens = {"x": sampled.outputs["tokens"][[row], :length]}
        read = rungs.run_cut(encode, tokens, take_rows(rungs.state_specs, state, [row]), [1] * int(length))
        found += differing_values(take_rows(rungs.state_specs, sampled.state, [row]), read.state)
    return Check("reading", stage.name, 0, found)


def _horizon(rungs: Rungs, stage: StagePlan, size: int) -> Check:
    rng = np.random.default_rng(SEED)
    inputs, state = stage.draw(rng, ROWS, size), _read(rungs, rng, ROWS)
    short = rungs.run(stage, size, inputs, state)
    long = rungs.run(stage, max(stage.sizes), inputs, state)
    beginning = take_time(stage.outputs, long.outputs, 0, size)
    return Check("horizon", stage.name, size, differing_values(short.outputs, beginning))


def _read(rungs: Rungs, rng: np.random.Generator, N: int) -> Arrays:
    """Return the state of N sequences after every stage that reads items has read some."""
    state = rungs.initial_state(N)
    for stage in rungs.stages.values():
        for size in stage.sizes if stage.fit == "exact" else ():
            state = rungs.run(stage, size, stage.draw(rng, N, size), state).state
    return state


def _run_rows(
    rungs: Rungs, stage: StagePlan, size: int, inputs: Arrays, state: Arrays, rows: NDArray[np.int64]
) -> Answer:
    return rungs.run(stage, size, take_rows(stage.inputs, inputs, rows), take_rows(rungs.state_specs, state, rows))


def _run_torch(graph: torch.nn.Module, stage: StagePlan, inputs: Arrays, state: Arrays) -> Answer:
    given = as_tensors({**inputs, **{name: state[name] for name in stage.reads}})
    with torch.inference_mode():
        answer = dict(zip(stage.output_names, (tensor.numpy() for tensor in graph(*given.values())), strict=True))
    written = {name: answer.pop(f"{name}_next") for name in stage.writes}
    return Answer(answer, {**state, **written})


def _differing(rungs: Rungs, stage: StagePlan, found: Answer, expected: Answer, rows: Sequence[int]) -> int:
    """Count the values in these rows of `found` that differ in their bits from `expected`."""
    return differing_values(take_rows(stage.outputs, found.outputs, rows), expected.outputs) + differing_values(
        take_rows(rungs.state_specs, found.state, rows), expected.state
    )


def _draw_cut(rng: np.random.Generator, stage: StagePlan, length: int) -> list[int]:
    """Draw a random cut of a length into pieces that one rung of a stage can do."""
    pieces: list[int] = []
    while length:
        possible = range(1, max(stage.sizes) + 1) if stage.kind == "samples" else stage.sizes
        pieces.append(int(rng.choice([size for size in possible if size <= length])))
        length -= pieces[-1]
    return pieces


def _poison(specs: Sequence[TensorSpec], arrays: Arrays, row: int) -> Arrays:
    """Return copies in which one row of every floating-point tensor is NaN."""
    poisoned = {}
    for spec in specs:
        values = arrays[spec.name].copy()
        if np.issubdtype(values.dtype, np.floating):
            np.moveaxis(values, spec.batch_axis, 0)[row] = np.nan
        poisoned[spec.name] = values
    return poisoned


def _error(found: Numbers, expected: Numbers, batch_axis: int, units: Numbers) -> float:
    """Return the largest error of a tensor.

    Float64 tensors are raw readings: their errors are in units of the row. Errors of float32 tensors are absolute, or
    relative to the row's largest value if that exceeds 1: near 64 float32 has steps of 8e-6. Logits of impossible
    tokens are constants and do not count as largest values. A wrong integer is an infinite error.
    """
    if np.issubdtype(expected.dtype, np.integer):
        return 0.0 if np.array_equal(found, expected) else np.inf
    N = expected.shape[batch_axis]
    by_row = np.moveaxis(expected, batch_axis, 0).reshape(N, -1).astype(np.float64)
    errors = np.abs(np.moveaxis(found, batch_axis, 0).reshape(N, -1).astype(np.float64) - by_row)
    if expected.dtype != np.float64:
        sizes = np.where(by_row == IMPOSSIBLE_LOGIT, 0.0, np.abs(by_row))
        units = np.maximum(sizes.max(axis=1, initial=0.0), 1.0)
    return float((errors / units[:, None]).max(initial=0.0))
