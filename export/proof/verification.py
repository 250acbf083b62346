"""Verifies a bundle without its model: whatever can be checked of graphs that were made elsewhere."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from export.errors import ExportError, NotServable, ParityFailed
from export.proof.parity import prove_alone
from export.proof.report import Report
from export.recipes.registry import plan_of_bundle
from export.running.rungs import Rungs
from service.bundle.errors import BundleError
from service.bundle.manifest import MANIFEST_FILE, Bundle, Manifest, read_bundle
from service.bundle.stage import ITEM_STAGE, Stage

NAMES_OF_LOGITS = {"sentiment": "labels", "tagging": "tags", "generation": "characters"}
# The stages that a kind needs, by kind: of a model with sessions, and of one that reads whole inputs.
STREAMING_STAGES = {
    "sentiment": (ITEM_STAGE,),
    "generation": (ITEM_STAGE, "decode"),
    "forecasting": (ITEM_STAGE, "forecast"),
    "music": (ITEM_STAGE, "decode"),
    "tagging": ("characters_forward", ITEM_STAGE),
}
WHOLE_STAGES = {
    "sentiment": ("forward1", "backward1", "head"),
    "translation": ("forward1", "backward1", "step"),
    "tagging": ("characters_forward", "characters_backward", "forward1", "backward1", "head"),
    "caption": ("look", "decode"),
}


def verify(bundle: Bundle) -> Report:
    """Run the checks of `export.proof.parity` that need nothing but the graphs, on a copy as the model store makes it.

    Raises:
        NotServable: The kind needs other stages, shapes in the manifest contradict each other, or a graph cannot be
            opened with the listed files alone, has other inputs or outputs than the manifest says, or does not run.
    """
    _check_stages(bundle)
    for stage in bundle.manifest.stages:
        _check_shapes(bundle, stage)
    with tempfile.TemporaryDirectory(prefix="unrolled-") as directory:
        copy = Path(directory) / bundle.manifest.name
        copy.mkdir()
        for name in (MANIFEST_FILE, *bundle.manifest.files):
            shutil.copy2(bundle.file(name), copy / name)
        return _prove(bundle, copy)


def _prove(bundle: Bundle, copy: Path) -> Report:
    try:
        copied = read_bundle(copy)
        return prove_alone(Rungs(copied, plan_of_bundle(copied)))
    except ExportError:
        raise
    except BundleError as error:
        raise NotServable(f"{bundle.path}, copied with the files that its manifest lists: {error}") from error
    except Exception as error:  # onnxruntime's own errors share no base class
        kind = bundle.manifest.task.kind
        raise NotServable(f"{bundle.path}: a graph fails on what a model for {kind} reads: {error}") from error


def check_passed(bundle: Bundle, report: Report) -> None:
    """Check that a report has no failures.

    Raises:
        ParityFailed: It has.
    """
    if not report.passed:
        failed = ", ".join(f"{each.name} of {each.stage} {each.size or 'all'}" for each in report.failures)
        raise ParityFailed(f"{bundle.path}: {len(report.failures)} of {len(report.checks)} checks failed: {failed}")


def _check_stages(bundle: Bundle) -> None:
    manifest = bundle.manifest
    kind, names = manifest.task.kind, Counter(stage.name for stage in manifest.stages)
    if repeated := [name for name, times in names.items() if times > 1]:
        raise NotServable(f"{bundle.path}: {repeated} are listed more than once as stages")
    needed = [stages[kind] for stages in (STREAMING_STAGES, WHOLE_STAGES) if kind in stages]
    if not any(names.keys() >= set(stages) for stages in needed):
        either = " or ".join(map(str, map(list, needed)))
        raise NotServable(f"{bundle.path}: a model for {kind} needs the stages {either}, not {list(names)}")


def _check_shapes(bundle: Bundle, stage: Stage) -> None:
    for tensor in (*stage.inputs, *stage.outputs) if stage.fit == "exact" and set(stage.rungs) != {1} else ():
        if "T" not in tensor.shape:
            raise NotServable(f'{bundle.path}: {tensor.name!r} of stage {stage.name!r} has no axis "T"')
    expected = _number_of_logits(bundle.manifest)
    for tensor in stage.outputs:
        if expected is not None and tensor.name == "logits" and tensor.shape[-1] != expected:
            raise NotServable(
                f"{bundle.path}: {tensor.name!r} of stage {stage.name!r} has {tensor.shape[-1]} values, but the task "
                f"lists {expected} {NAMES_OF_LOGITS[bundle.manifest.task.kind]}"
            )


def _number_of_logits(manifest: Manifest) -> int | None:
    names = NAMES_OF_LOGITS.get(manifest.task.kind)
    return None if names is None else len(getattr(manifest.task, names))
