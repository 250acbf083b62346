"""Quantization of a float32 bundle: rewrites its graphs to int8, proves them again and measures both.

Needs only the bundle, no checkpoint. Tokenizer, state, stages and ladder are kept, so the int8 bundle can replace it.
"""

import shutil
import sys
from pathlib import Path

import onnx

from export.bundle.bundle import WEIGHTS, Export, publish
from export.bundle.directory import check_destination, checksums, new_directory
from export.bundle.weight_file import WeightFile, save_proto
from export.errors import NotFloat32, NotQuantizable, ParityFailed
from export.int8.quantize import RANGES, quantize_graph
from export.proof.parity import prove
from export.quality.quality import measure, measure_for
from export.recipes.registry import plan_of_bundle
from export.running.rungs import Rungs
from service.bundle.manifest import Bundle, Figure
from training.data.source import DataError


def quantize(source: Bundle, destination: Path) -> Export:
    """Write the int8 bundle of a float32 one.

    Args:
        source: The float32 bundle.
        destination: Directory of the int8 bundle. An existing bundle is replaced.

    Raises:
        NotFloat32: The source is an int8 bundle, or the destination is the source.
        NotQuantizable: None of its products has an input of known range.
        ParityFailed: The graphs do not give a row the same bits in every batch and every cut.
        QualityLost: The graphs do worse on the development data than is allowed.
        DestinationTaken: The destination holds something that is not a bundle.
    """
    _check_source(source, destination)
    check_destination(destination)
    stages = plan_of_bundle(source)
    with new_directory(destination) as directory:
        nodes = _write_graphs(source, directory)
        _copy_tokenizer(source, directory)
        update = {"numerics": "int8", "files": checksums(directory)}
        draft = Bundle(directory, source.manifest.model_copy(update=update), "draft")
        rungs, float32 = Rungs(draft, stages), Rungs(source, stages)
        report = prove(rungs, float32)
        if not report.passed:
            raise ParityFailed(
                f"rows have different bits in different batches; nothing was written to {destination}\n{report}"
            )
        figures = (*_of_checkpoint(source), *_measured(source, float32, draft, rungs))
        manifest = draft.manifest.model_copy(update={"figures": figures})
        return publish(directory, destination, manifest, report, nodes, rungs)


def _check_source(source: Bundle, destination: Path) -> None:
    if source.manifest.numerics != "float32":
        raise NotFloat32(f"{source.path} is an {source.manifest.numerics} bundle")
    if destination.resolve() == source.path.resolve():
        raise NotFloat32(f"{destination} is the float32 bundle, which is kept: give another --output")
    check_kind(source.path, *_kind(source))


def check_kind(path: Path, kind: str, cell: str) -> None:
    """Check that input ranges of a model's products are known.

    Args:
        path: Its checkpoint or bundle.
        kind: Kind of its task.
        cell: Name of its cell.

    Raises:
        NotQuantizable: They are unknown.
    """
    if (kind, cell) not in RANGES:
        known = ", ".join(map(" by ".join, RANGES))
        raise NotQuantizable(
            f"{path}: only models for {known} can be quantized to int8, not those for {kind} by {cell}"
        )


def _kind(source: Bundle) -> tuple[str, str]:
    return source.manifest.task.kind, source.manifest.cell


def _write_graphs(source: Bundle, directory: Path) -> dict[tuple[str, int], int]:
    """Rewrite all rungs. Returns the number of nodes by stage and size."""
    weights = WeightFile(WEIGHTS)
    nodes: dict[tuple[str, int], int] = {}
    num_rewritten = 0
    for stage in source.manifest.stages:
        for size, file in stage.rungs.items():
            model = onnx.load(source.file(file))
            num_rewritten += quantize_graph(model, RANGES[_kind(source)])
            properties = {prop.key: prop.value for prop in model.metadata_props} | {"numerics": "int8"}
            save_proto(model, directory / file, weights, properties)
            nodes[stage.name, size] = len(model.graph.node)
    if not num_rewritten:
        raise NotQuantizable(f"{source.path}: no product has a weight of {', '.join(RANGES[_kind(source)])}")
    weights.write(directory)
    return nodes


def _copy_tokenizer(source: Bundle, directory: Path) -> None:
    tokenizer = getattr(source.manifest.task, "tokenizer", None)
    if tokenizer is not None:
        shutil.copyfile(source.file(tokenizer), directory / tokenizer)


def _of_checkpoint(source: Bundle) -> list[Figure]:
    return [figure for figure in source.manifest.figures if figure.of in ("checkpoint", "seeds")]


def _measured(source: Bundle, float32: Rungs, draft: Bundle, rungs: Rungs) -> list[Figure]:
    """Measure float32 and int8 graphs on the development data. If that is missing, say so and return nothing."""
    print("measuring float32 and int8 on the development data", file=sys.stderr)
    try:
        before, after = measure(source, float32), measure(draft, rungs)
    except DataError as error:
        print(f"not measured: {error}", file=sys.stderr)
        return []
    measure_for(source).check(before.value, after.value)
    return [before.model_copy(update={"of": "float32"}), after]
