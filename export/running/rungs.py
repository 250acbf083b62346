"""Runs the graphs of a finished or unfinished bundle as the service does: lengths are cut into rungs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.stages import Arrays, StagePlan
from service.bundle.graph import open_graph
from service.bundle.manifest import Bundle
from service.bundle.stage import TensorSpec
from service.engine.ladder import covering_rung


@dataclass(frozen=True)
class Answer:
    """The outputs of a stage, and all state tensors after it."""

    outputs: Arrays
    state: Arrays


class Rungs:
    """All graphs of a bundle.

    Args:
        bundle: The bundle. Its graphs are opened with the options that serve.
        stages: The plans that the bundle was made from.
    """

    def __init__(self, bundle: Bundle, stages: Iterable[StagePlan]) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.task = bundle.manifest.task.kind
        self.state_specs = bundle.manifest.state
        self.load_seconds: dict[tuple[str, int], float] = {}
        self._sessions = {
            (stage.name, size): self._open(bundle, stage, size)
            for stage in self.stages.values()
            for size in stage.sizes
        }

    def _open(self, bundle: Bundle, stage: StagePlan, size: int) -> ort.InferenceSession:
        started = perf_counter()
        session = open_graph(bundle, bundle.manifest.stage(stage.name), size)
        self.load_seconds[stage.name, size] = perf_counter() - started
        return session

    def initial_state(self, N: int) -> Arrays:
        """Return the state of N fresh sequences."""
        return {spec.name: np.full(spec.sized(N, 1), spec.initial, dtype=spec.dtype) for spec in self.state_specs}

    def run(self, stage: StagePlan, size: int, inputs: Arrays, state: Arrays) -> Answer:
        """Run one rung. State tensors that the stage does not write are returned unchanged."""
        given = {**inputs, **{name: state[name] for name in stage.reads}}
        arrays = self._sessions[stage.name, size].run(stage.output_names, given)
        answer = dict(zip(stage.output_names, arrays, strict=True))
        written = {name: answer.pop(f"{name}_next") for name in stage.writes}
        return Answer(answer, {**state, **written})

    def run_cut(self, stage: StagePlan, inputs: Arrays, state: Arrays, pieces: Sequence[int]) -> Answer:
        """Run a length cut into pieces, one rung each, and join the outputs along time."""
        parts, start = [], 0
        for length in pieces:
            size, piece = cut_inputs(stage, inputs, start, length)
            answer = self.run(stage, size, piece, state)
            state = answer.state
            parts.append(take_time(stage.outputs, answer.outputs, 0, length))
            start += length
        joined = {
            spec.name: np.concatenate([part[spec.name] for part in parts], axis=spec.shape.index("T"))
            for spec in stage.outputs
        }
        return Answer(joined, state)


def cut(sizes: tuple[int, ...], length: int) -> list[int]:
    """Cut a length into rungs, largest first."""
    pieces: list[int] = []
    for size in sorted(sizes, reverse=True):
        pieces += [size] * ((length - sum(pieces)) // size)
    return pieces


def cut_inputs(stage: StagePlan, inputs: Arrays, start: int, length: int) -> tuple[int, Arrays]:
    """Return the rung, and its inputs, that advance by `length` items from item `start` on.

    A rung that samples may be longer than `length`: its rows freeze when none of their tokens remain.
    """
    if stage.kind != "samples":
        return length, take_time(stage.inputs, inputs, start, length)
    size = covering_rung(length, stage.sizes)
    piece = take_time(stage.inputs, inputs, start, length)
    piece["uniforms"] = np.pad(piece["uniforms"], [(0, 0), (0, size - length)])
    piece["remaining"] = np.clip(inputs["remaining"] - start, 0, length)
    return size, piece


def take_time(specs: Iterable[TensorSpec], arrays: Arrays, start: int, length: int) -> Arrays:
    """Take items `start` to `start + length` of tensors with a time axis. Others are returned unchanged."""
    return {
        spec.name: np.take(arrays[spec.name], range(start, start + length), axis=spec.shape.index("T"))
        if "T" in spec.shape
        else arrays[spec.name]
        for spec in specs
    }


def take_rows(specs: Iterable[TensorSpec], arrays: Arrays, rows: Sequence[int] | NDArray[np.int64]) -> Arrays:
    """Take some rows of a batch."""
    return {spec.name: np.take(arrays[spec.name], rows, axis=spec.batch_axis) for spec in specs if spec.name in arrays}


def differing_values(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> int:
    """Count the values that differ in their bits.

    Raises:
        KeyError: The tensors have different names.
    """
    if found.keys() != expected.keys():
        raise KeyError(f"{sorted(found)} cannot be compared with {sorted(expected)}")
    return sum(_differing(found[name], expected[name]) for name in expected)


def _differing(found: np.ndarray, expected: np.ndarray) -> int:
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return max(found.size, expected.size)
    bits = np.dtype(f"u{expected.itemsize}")
    return int(np.count_nonzero(np.ascontiguousarray(found).view(bits) != np.ascontiguousarray(expected).view(bits)))
