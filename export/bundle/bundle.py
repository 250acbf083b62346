"""Export of a checkpoint: writes a bundle of graphs, tokenizer, manifest, card and proof of parity."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import nn
from tqdm import tqdm  # type: ignore[import-untyped]

from export.bundle import card
from export.bundle.directory import check_destination, checksums, new_directory, replace, write_manifest
from export.bundle.figures import measured
from export.bundle.manifest import TOKENIZER, describe, graph_file
from export.bundle.weight_file import WeightFile, save_graph
from export.errors import ParityFailed
from export.proof.parity import prove
from export.proof.report import Report
from export.recipes.registry import plan
from export.running.rungs import Rungs
from export.stages import StagePlan
from export.tracing.onnx import TRACED_ROWS, GraphBuilder
from export.weights import prepare
from service.bundle.manifest import Bundle, Manifest, read_bundle
from training.checkpoint import Checkpoint
from training.models.streaming import StreamingModel

WEIGHTS, PARITY, CARD = "weights.bin", "parity.json", "README.md"


@dataclass(frozen=True)
class RungSummary:
    """The cost of a rung: its nodes, the bytes of its file without the shared weights, the seconds to load it."""

    stage: str
    size: int
    nodes: int
    file_bytes: int
    load_seconds: float

    def __str__(self) -> str:
        """Format a row of the printed table."""
        kilobytes, milliseconds = self.file_bytes / 1000, self.load_seconds * 1000
        return (
            f"{self.stage:9} {self.size:>4} {self.nodes:>6} nodes {kilobytes:>6.0f} kB {milliseconds:>6.0f} ms to load"
        )


@dataclass(frozen=True)
class Export:
    """A written bundle, its proof of parity, and the cost of its rungs."""

    bundle: Bundle
    report: Report
    rungs: tuple[RungSummary, ...]


def export(
    checkpoint: Checkpoint,
    destination: Path,
    sizes: Mapping[str, tuple[int, ...]] | None = None,
    others: Sequence[Checkpoint] = (),
) -> Export:
    """Write the bundle of a checkpoint.

    Args:
        checkpoint: A trained model.
        destination: Directory of the bundle, which also names it. An existing bundle is replaced.
        sizes: Ladders other than the task's own, by stage.
        others: Checkpoints of runs with other seeds, for the mean and the deviation of the figures.

    Raises:
        ParityFailed: The graphs do not compute what the model does.
        BundleTooLarge: The bundle exceeds MAX_BYTES.
        DestinationTaken: The destination holds something that is not a bundle.
        NoRecipe: The task has no recipe.
        WrongLadder: The requested rungs cannot be served, or the model's cell has no ladder.
        NotDynamic: The model fixes the number of rows when it is traced.
        NotASeed: One of the others cannot be averaged with the checkpoint.
    """
    check_destination(destination)
    model = prepare(checkpoint.model)
    stages = plan(checkpoint.task, model, dict(sizes or {}))
    with new_directory(destination) as directory:
        nodes = write_graphs(directory, checkpoint.task, model, stages)
        if checkpoint.tokenizer_path is not None:
            shutil.copyfile(checkpoint.tokenizer_path, directory / TOKENIZER)
        draft = describe(checkpoint, destination.name, model, stages, checksums(directory))
        rungs = Rungs(Bundle(path=directory, manifest=draft, version="draft"), stages)
        report = prove(rungs, checkpoint)
        if not report.passed:
            raise ParityFailed(f"the graphs do not match the model; nothing was written to {destination}\n{report}")
        manifest = draft.model_copy(update={"figures": measured(checkpoint, others)})
        return publish(directory, destination, manifest, report, nodes, rungs)


def publish(
    directory: Path,
    destination: Path,
    manifest: Manifest,
    report: Report,
    nodes: Mapping[tuple[str, int], int],
    rungs: Rungs,
) -> Export:
    """Complete a directory of proved graphs to a bundle, and move it to its destination.

    Args:
        directory: A `new_directory` with all graphs and the tokenizer.
        destination: Directory of the bundle.
        manifest: Its manifest. The checksums are replaced.
        report: The proof of its graphs.
        nodes: Number of nodes of each rung.
        rungs: The opened graphs.

    Raises:
        BundleTooLarge: The bundle exceeds MAX_BYTES.
    """
    (directory / PARITY).write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    (directory / CARD).write_text(card.render(manifest, report, directory), encoding="utf-8")
    summaries = summarise(directory, manifest, nodes, rungs)
    write_manifest(directory, manifest)
    replace(directory, destination)
    return Export(read_bundle(destination), report, summaries)


def write_graphs(
    directory: Path, task: str, model: nn.Module, stages: tuple[StagePlan, ...]
) -> dict[tuple[str, int], int]:
    """Write the graphs of all rungs and the weights that they share.

    Returns:
        The number of nodes by stage and size.
    """
    weights = WeightFile(WEIGHTS)
    state = cast(StreamingModel, model).initial_state(TRACED_ROWS)
    builder = GraphBuilder({name: tensor.numpy() for name, tensor in state.items()})
    nodes = {}
    rungs = [(stage, size) for stage in stages for size in stage.sizes]
    for stage, size in tqdm(rungs, desc="writing graphs", unit=" rungs", leave=False, disable=None):
        graph = builder.build(stage, size)
        properties = {"task": task, "stage": stage.name, "rung": str(size)}
        save_graph(graph, directory / graph_file(stage.name, size), weights, properties)
        nodes[stage.name, size] = graph.graph.num_nodes()
    weights.write(directory)
    return nodes


def summarise(
    directory: Path, manifest: Manifest, nodes: Mapping[tuple[str, int], int], rungs: Rungs
) -> tuple[RungSummary, ...]:
    """Summarise the cost of each rung of a bundle.

    Args:
        directory: Where its graphs are.
        manifest: The bundle's manifest.
        nodes: Number of nodes of each rung.
        rungs: The opened graphs.
    """
    return tuple(
        RungSummary(
            stage=stage.name,
            size=size,
            nodes=nodes[stage.name, size],
            file_bytes=(directory / file).stat().st_size,
            load_seconds=rungs.load_seconds[stage.name, size],
        )
        for stage in manifest.stages
        for size, file in stage.rungs.items()
    )
