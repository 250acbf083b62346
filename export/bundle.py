"""A checkpoint becomes a bundle: graphs, tokenizer, manifest, card and proof of parity, in one directory at once."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import nn
from tqdm import tqdm  # type: ignore[import-untyped]

from export import card
from export.errors import BundleTooLarge, DestinationTaken, ParityFailed
from export.manifest import TOKENIZER, describe, graph_file
from export.onnx import TRACED_ROWS, GraphBuilder
from export.parity import prove
from export.report import Report
from export.rungs import Rungs
from export.stages import StagePlan, plan
from export.weight_file import WeightFile, save_graph
from export.weights import prepare
from service.bundle.manifest import (
    MANIFEST_FILE,
    Bundle,
    Manifest,
    Stage,
    read_bundle,
    sha256_of,
)
from training.checkpoint import Checkpoint
from training.models.streaming import StreamingModel

MAX_BYTES = 8 * 2**20
WEIGHTS, PARITY, CARD = "weights.bin", "parity.json", "README.md"


@dataclass(frozen=True)
class RungSummary:
    """What a rung costs."""

    stage: str
    size: int
    nodes: int
    file_bytes: int
    load_seconds: float

    def __str__(self) -> str:
        """A row of the printed table."""
        kilobytes, milliseconds = self.file_bytes / 1000, self.load_seconds * 1000
        return (
            f"{self.stage:9} {self.size:>4} {self.nodes:>6} nodes {kilobytes:>6.0f} kB {milliseconds:>6.0f} ms to load"
        )


@dataclass(frozen=True)
class Export:
    """A written bundle, what proves it, and what its rungs cost."""

    bundle: Bundle
    report: Report
    rungs: tuple[RungSummary, ...]


def export(checkpoint: Checkpoint, destination: Path, sizes: Mapping[str, tuple[int, ...]] | None = None) -> Export:
    """Write the bundle of a checkpoint.

    Args:
        checkpoint: A trained model.
        destination: Directory of the bundle; a bundle that is there is replaced.
        sizes: Other ladders than the task's own, by stage.

    Raises:
        ParityFailed: The graphs are not the model.
        BundleTooLarge: The bundle exceeds MAX_BYTES.
        DestinationTaken: The destination holds something that is no bundle.
    """
    _check_destination(destination)
    model = prepare(checkpoint.model)
    stages = plan(checkpoint.task, model, dict(sizes or {}))
    with _new_directory(destination) as directory:
        nodes = write_graphs(directory, checkpoint.task, model, stages)
        if checkpoint.tokenizer_path is not None:
            shutil.copyfile(checkpoint.tokenizer_path, directory / TOKENIZER)
        draft = describe(checkpoint, model, stages, _checksums(directory))
        rungs = Rungs(Bundle(path=directory, manifest=draft, version="draft"), stages)
        report = prove(rungs)
        if not report.passed:
            raise ParityFailed(f"the graphs are not the model; nothing was written to {destination}\n{report}")
        (directory / PARITY).write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
        (directory / CARD).write_text(card.write(draft, report, directory), encoding="utf-8")
        summaries = tuple(_summary(directory, stage, nodes, rungs) for stage in draft.stages)
        _finish(directory, draft)
        _replace(directory, destination)
    return Export(read_bundle(destination), report, tuple(summary for row in summaries for summary in row))


def write_graphs(
    directory: Path, task: str, model: nn.Module, stages: tuple[StagePlan, ...]
) -> dict[tuple[str, int], int]:
    """Write the graphs of all rungs and their common weights; returns the number of nodes of each."""
    weights = WeightFile(WEIGHTS)
    state = cast(StreamingModel, model).initial_state(TRACED_ROWS)
    builder = GraphBuilder({name: tensor.numpy() for name, tensor in state.items()})
    nodes = {}
    rungs = [(stage, size) for stage in stages for size in stage.sizes]
    for stage, size in tqdm(rungs, desc="writing graphs", unit=" rungs", leave=False):
        graph = builder.build(stage, size)
        properties = {"task": task, "stage": stage.name, "rung": str(size)}
        save_graph(graph, directory / graph_file(stage.name, size), weights, properties)
        nodes[stage.name, size] = graph.graph.num_nodes()
    weights.write(directory)
    return nodes


def _checksums(directory: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(directory.iterdir()) if path.name != MANIFEST_FILE}


def _summary(directory: Path, stage: Stage, nodes: Mapping[tuple[str, int], int], rungs: Rungs) -> list[RungSummary]:
    return [
        RungSummary(
            stage=stage.name,
            size=size,
            nodes=nodes[stage.name, size],
            file_bytes=(directory / file).stat().st_size,
            load_seconds=rungs.load_seconds[stage.name, size],
        )
        for size, file in stage.rungs.items()
    ]


def _finish(directory: Path, draft: Manifest) -> None:
    """Write the manifest of all files, and read the bundle as the service will."""
    manifest = draft.model_copy(update={"files": _checksums(directory)})
    (directory / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    read_bundle(directory)
    size = sum(path.stat().st_size for path in directory.iterdir())
    if size > MAX_BYTES:
        raise BundleTooLarge(f"the bundle has {size} bytes, {MAX_BYTES} are allowed: take a smaller model")


def _check_destination(destination: Path) -> None:
    if destination.exists() and not (destination / MANIFEST_FILE).is_file():
        raise DestinationTaken(f"{destination} is there and is no bundle; it is left as it is")


@contextmanager
def _new_directory(destination: Path) -> Iterator[Path]:
    """A directory beside the destination, so that it can take its place by renaming; gone if that does not happen."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{destination.name}-", dir=destination.parent) as parent:
        directory = Path(parent) / destination.name
        directory.mkdir()
        yield directory


def _replace(directory: Path, destination: Path) -> None:
    if destination.exists():
        destination.rename(directory.with_name("replaced"))
    directory.rename(destination)
