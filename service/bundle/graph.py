"""A bundle's graphs, opened with the options under which their parity was proved."""

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import onnxruntime as ort

from service.bundle.errors import BundleGraphMismatch, GraphUnavailable
from service.bundle.manifest import Bundle
from service.bundle.prepared_graphs import PreparedGraphs
from service.bundle.session_options import CPU_PROVIDER, session_options
from service.bundle.stage import Stage, TensorSpec

ORT_TYPES = {"float32": "tensor(float)", "float64": "tensor(double)", "int64": "tensor(int64)"}
Provider = str | tuple[str, Mapping[str, str]]  # its name, and its options if any


def open_graph(
    bundle: Bundle,
    stage: Stage,
    size: int,
    providers: Sequence[Provider] = (CPU_PROVIDER,),
    prepared: PreparedGraphs | None = None,
) -> ort.InferenceSession:
    """Open one rung of a stage.

    Args:
        bundle: The bundle.
        stage: The stage.
        size: T of the rung.
        providers: onnxruntime's execution providers, the preferred one first.
        prepared: Where to find its prepared form, for the CPU only. None to open the graph itself.

    Raises:
        GraphUnavailable: This process has no files or memory left for it.
        BundleGraphMismatch: onnxruntime cannot load it, or its inputs or outputs do not match the manifest.
    """
    name = stage.rungs[size]
    path = bundle.file(name)
    session = None if prepared is None else prepared.open(bundle, name)
    try:
        session = session or ort.InferenceSession(path, session_options(), providers=list(providers))
    except Exception as error:  # onnxruntime's own errors share no base class
        if _is_resource_shortage(error, path):
            raise GraphUnavailable(f"{path}: cannot be opened now: {error}") from error
        raise BundleGraphMismatch(f"{path}: onnxruntime cannot load it: {error}") from error
    _check(str(path), "input", session.get_inputs(), graph_inputs(bundle, stage), size)
    _check(str(path), "output", session.get_outputs(), graph_outputs(bundle, stage), size)
    return session


def graph_inputs(bundle: Bundle, stage: Stage) -> tuple[TensorSpec, ...]:
    """Return all inputs of a stage's graphs: its own, then the state that it reads."""
    return (*stage.inputs, *(tensor for tensor in bundle.manifest.state if tensor.name in stage.reads))


def graph_outputs(bundle: Bundle, stage: Stage) -> tuple[TensorSpec, ...]:
    """Return all outputs of a stage's graphs: its own, then the state that it writes, as `<name>_next`."""
    written = (tensor for tensor in bundle.manifest.state if tensor.name in stage.writes)
    return (
        *stage.outputs,
        *(TensorSpec(name=f"{t.name}_next", dtype=t.dtype, shape=t.shape) for t in written),
    )


def _is_resource_shortage(error: Exception, path: Path) -> bool:
    """Whether files or memory were lacking, which onnxruntime says only in its message."""
    if isinstance(error, MemoryError) or "bad_alloc" in str(error):
        return True
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as lack:
        return lack.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    return f"system error number {errno.EMFILE}" in str(error)


def _check(path: str, kind: str, found: Iterable[ort.NodeArg], expected: Iterable[TensorSpec], size: int) -> None:
    found_forms = {arg.name: (arg.type, _form(arg.shape)) for arg in found}
    expected_forms = {
        spec.name: (ORT_TYPES[spec.dtype], _form([size if axis == "T" else axis for axis in spec.shape]))
        for spec in expected
    }
    if found_forms != expected_forms:
        raise BundleGraphMismatch(f"{path}: its {kind}s are {found_forms}, the manifest says {expected_forms}")


def _form(shape: Iterable[int | str | None]) -> tuple[int | str, ...]:
    return tuple(axis if isinstance(axis, int) else "N" for axis in shape)
