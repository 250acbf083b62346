"""Graphs that onnxruntime has prepared for this processor, in a directory that the processes of a machine share.

Whenever onnxruntime opens a graph, it converts float16 weights to float32 and packs them for its products: once per
rung and worker. Here that is done only once. The weights are kept in files that are named by their content and that
onnxruntime maps into memory, so rungs and workers with the same weights share one copy.

    graph ─► onnxruntime optimizes it ─┬─► <graph>-<digest>.onnx
             and packs its weights     └─► <digest>.weights of each tensor

A prepared graph is opened without further optimization, so it computes what the graph itself does, bit for bit. A file
that differs from what was written is written again.
"""

import hashlib
import logging
import mmap
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnxruntime as ort

from service.bundle.external_weights import Parts, file_name, split_weights, weight_files
from service.bundle.manifest import Bundle
from service.bundle.session_options import CPU_PROVIDER, session_options
from service.concurrency.file_lock import try_to_lock

logger = logging.getLogger(__name__)

FORMAT = 1  # version of the files, and of the options that they were made with
LOCK_SECONDS = 10.0  # for which another process may prepare a graph, and for each of its bundle's bytes
LOCK_SECONDS_PER_BYTE = 1e-7
LONGEST_WAIT_SECONDS = 60.0  # for all others together, since requests wait meanwhile
_PIECE_BYTES = 1 << 20
PAUSE_SECONDS = 60.0
_POLL_SECONDS = 0.02
_SCRATCH = "scratch-"
_WEIGHTS_FILE = "session.optimized_model_external_initializers_file_name"
_WITH_PACKED = "session.save_external_prepacked_constant_initializers"
_DIGEST_CHARACTERS = 16
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH

FileState = tuple[int, int, int]  # of a file: inode, size and modification time


class LockHeld(Exception):
    """Another process has held the lock for so long that it seems to hang."""


class PreparedGraphs:
    """Prepared graphs, in a directory for each version of a bundle.

    Args:
        directory: A directory for this process's numerics only. It is created when first needed.
        on_prepared: Called after a graph was prepared, which briefly takes several times its memory.
    """

    def __init__(self, directory: Path, on_prepared: Callable[[], None] = lambda: None) -> None:
        self._directory = directory / f"format-{FORMAT}"
        self._on_prepared = on_prepared
        self._intact: dict[Path, FileState] = {}  # files of weights that this process has read and found intact
        self._paused_until = 0.0

    def open(self, bundle: Bundle, name: str) -> ort.InferenceSession | None:
        """Open a graph in its prepared form, on the CPU. Return None if only the graph itself can be opened.

        Args:
            bundle: A bundle.
            name: Name of the file of one of its graphs.
        """
        path = self.path(bundle, name)
        if path is None:
            return None
        options = session_options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return ort.InferenceSession(path, options, providers=[CPU_PROVIDER])
        except Exception as error:  # onnxruntime's own errors share no base class
            logger.warning("the prepared graph %s cannot be opened; using the original graph instead: %s", path, error)
            return None

    def path(self, bundle: Bundle, name: str) -> Path | None:
        """Return the path of a graph's prepared form, preparing it if necessary, or None if that fails."""
        graph, directory = bundle.file(name), self._directory / bundle.version
        try:
            found = self._find(graph.stem, directory)
            if found is not None or time.monotonic() < self._paused_until:
                return found
            prepared = self._prepare_in(directory, graph, LOCK_SECONDS + LOCK_SECONDS_PER_BYTE * bundle.num_bytes)
            self._on_prepared()
        except (OSError, LockHeld) as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            logger.warning(
                "graphs cannot be prepared for now, so this worker needs more memory until it is restarted: %s", error
            )
        except Exception as error:  # onnxruntime's own errors share no base class
            logger.warning("%s cannot be prepared, so workers need more memory: %s", graph, error)
        else:
            return prepared
        return None

    def _find(self, name: str, directory: Path) -> Path | None:
        """Return the path of a prepared graph that is intact, with all of its weights, or None."""
        if directory.is_dir():
            _check_owner(directory)
        for path in directory.glob(f"{name}-{'?' * _DIGEST_CHARACTERS}.onnx"):
            content = path.read_bytes()
            if path.name == _graph_name(name, content) and self._are_intact(directory, weight_files(content)):
                return path
        return None

    def _are_intact(self, directory: Path, names: Iterable[str]) -> bool:
        """Return whether files of weights are as they were written. Unchanged files are not read again."""
        for path in [directory / name for name in names]:
            state = _state(path)
            if state is None or (self._intact.get(path) != state and file_name(_pieces(path)) != path.name):
                return False
            self._intact[path] = state
        return True

    def _prepare_in(self, directory: Path, graph: Path, patience: float) -> Path:
        """Prepare a graph, unless another process has just done so."""
        with _locked(directory, patience):
            found = self._find(graph.stem, directory)
            if found is not None:
                return found
            with _scratch_in(directory) as scratch:
                return self._prepare(directory, graph, scratch)

    def _prepare(self, directory: Path, graph: Path, scratch: Path) -> Path:
        content, files = _prepared(graph, scratch)
        missing = [name for name in files if not self._are_intact(directory, [name])]
        path = directory / _graph_name(graph.stem, content)
        _write({**{directory / name: files[name] for name in missing}, path: [memoryview(content)]}, scratch)
        return path


def _prepared(graph: Path, scratch: Path) -> tuple[bytes, dict[str, Parts]]:
    """Let onnxruntime prepare a graph. Return the result, and its files of weights by name."""
    model, weights = scratch / "graph.onnx", scratch / "weights"
    options = session_options()
    options.optimized_model_filepath = str(model)
    options.add_session_config_entry(_WEIGHTS_FILE, weights.name)
    options.add_session_config_entry(_WITH_PACKED, "1")
    ort.InferenceSession(graph, options, providers=[CPU_PROVIDER])
    return split_weights(model.read_bytes(), _mapped(weights) if weights.exists() else memoryview(b""))


def _mapped(path: Path) -> memoryview:
    """Return a file's content, of which the kernel reads what is looked at."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _write(contents: dict[Path, Parts], scratch: Path) -> None:
    """Write files in order, each of them atomically. If one cannot be written, remove the others."""
    written: list[Path] = []
    try:
        for path, parts in contents.items():
            temporary = scratch / path.name
            with temporary.open("wb") as file:
                file.writelines(parts)
            temporary.replace(path)
            written.append(path)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _pieces(path: Path) -> Iterator[memoryview]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield memoryview(piece)


def _state(path: Path) -> FileState | None:
    """Return what changes whenever a file does, or None if there is no such file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _check_owner(directory: Path) -> None:
    """Raise PermissionError if another user may have written to a directory."""
    found = directory.stat()
    if found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE:
        raise PermissionError(f"{directory} is not this user's alone")


@contextmanager
def _locked(directory: Path, patience: float) -> Iterator[None]:
    """Hold a directory's lock, creating the directory first.

    Raises:
        LockHeld: One of the others has held it for more seconds than `patience`.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(directory)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        taken_at, until, at_last = None, 0.0, time.monotonic() + LONGEST_WAIT_SECONDS
        while not try_to_lock(lock):
            if (changed_at := os.fstat(lock).st_mtime_ns) != taken_at:
                taken_at, until = changed_at, time.monotonic() + patience
            if time.monotonic() > min(until, at_last):
                raise LockHeld(f"{directory / 'lock'} was held by another process for {patience:.0f} seconds")
            time.sleep(_POLL_SECONDS)
        os.utime(lock)
        yield
    finally:
        os.close(lock)


@contextmanager
def _scratch_in(directory: Path) -> Iterator[Path]:
    """Yield an empty directory, after removing those that killed processes have left."""
    for left in directory.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=directory) as scratch:
        yield Path(scratch)


def _graph_name(name: str, content: bytes) -> str:
    return f"{name}-{hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]}.onnx"
