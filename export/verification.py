"""Verifies a bundle without its model: whatever can be checked of graphs that were made elsewhere."""

from export.errors import NotServable, ParityFailed
from export.parity import prove_alone
from export.recipes.registry import check_ladders, plan_of_bundle
from export.report import Report
from export.rungs import Rungs
from service.bundle.errors import BundleError
from service.bundle.manifest import Bundle, Manifest
from service.bundle.stage import Stage

NAMES_OF_LOGITS = {"sentiment": "labels", "tagging": "tags", "generation": "characters"}


def verify(bundle: Bundle) -> Report:
    """Run the checks of `export.parity` that need nothing but the graphs.

    Raises:
        BundleError: A graph cannot be opened, or has other inputs or outputs than the manifest says.
        WrongLadder: A length cannot be cut into the rungs of a stage.
        NotServable: Shapes in the manifest contradict each other, or a graph does not run.
    """
    for stage in bundle.manifest.stages:
        _check_shapes(bundle, stage)
    stages = plan_of_bundle(bundle)
    check_ladders(stages)
    try:
        return prove_alone(Rungs(bundle, stages))
    except BundleError:
        raise
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


def _check_shapes(bundle: Bundle, stage: Stage) -> None:
    for tensor in (*stage.inputs, *stage.outputs) if stage.fit == "exact" else ():
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
