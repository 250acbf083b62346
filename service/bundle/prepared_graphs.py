"""Graphs as onnxruntime has prepared them for this processor, in a directory that the processes of a machine share.

Whenever onnxruntime opens a graph, it turns float16 weights into float32 and packs them for its products: once for each
rung, in each worker. Here that is done once. The weights are kept in files that are named by their content, and that
onnxruntime maps into memory, so rungs and workers with the same weights have one copy of them together.

    graph ─► onnxruntime optimizes it ─┬─► <graph>-<digest>.onnx
             and packs its weights     └─► <digest>.weights of each tensor

A prepared graph is opened without further optimization, so it computes what the graph itself does, bit for bit. A file
that is not what was written is made anew.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnxruntime as ort

from service.bundle.external_weights import file_name, files_of, with_a_file_each
from service.bundle.manifest import Bundle

logger = logging.getLogger(__name__)

FORMAT = 1  # of the files, and of the options that they were made with
LOCK_SECONDS = 10.0
PAUSE_SECONDS = 60.0
_POLL_SECONDS = 0.02
_SCRATCH = "scratch-"
_WEIGHTS_FILE = "session.optimized_model_external_initializers_file_name"
_WITH_PACKED = "session.save_external_prepacked_constant_initializers"
_DIGEST_CHARACTERS = 16
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH

State = tuple[int, int, int]  # of a file: its number, size and time of change


class LockHeld(Exception):
    """Other processes were about to prepare graphs for so long that one of them seems to stand still."""


class PreparedGraphs:
    """Prepared graphs, those of each version of a bundle in a directory of their own.

    Args:
        directory: For this process's numerics alone. It is made when it is first needed.
        on_prepared: Called after a graph was prepared, which takes several times its memory for a moment.
    """

    def __init__(self, directory: Path, on_prepared: Callable[[], None] = lambda: None) -> None:
        self._directory = directory / f"format-{FORMAT}"
        self._on_prepared = on_prepared
        self._intact: dict[Path, State] = {}  # files of weights that were read here, and were what was written
        self._paused_until = 0.0

    def open(
        self, bundle: Bundle, name: str, new_options: Callable[[], ort.SessionOptions]
    ) -> ort.InferenceSession | None:
        """Open a graph in its prepared form, on the CPU. None where that cannot be done, but the graph itself may be.

        Args:
            bundle: A bundle.
            name: Name of the file of one of its graphs.
            new_options: Returns fresh options, those that the graph itself is opened with.
        """
        path = self.path(bundle, name, new_options())
        if path is None:
            return None
        options = new_options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors share no base class
            logger.warning("the prepared graph %s cannot be opened; using the original graph instead: %s", path, error)
            return None

    def path(self, bundle: Bundle, name: str, options: ort.SessionOptions) -> Path | None:
        """The prepared form of a graph, which is made unless it is there. None where that cannot be done.

        Args:
            bundle: A bundle.
            name: Name of the file of one of its graphs.
            options: What the graph itself is opened with. They are changed, so give fresh ones.
        """
        graph, directory = bundle.file(name), self._directory / bundle.version
        try:
            found = self._find(graph.stem, directory)
            if found is not None or time.monotonic() < self._paused_until:
                return found
            prepared = self._prepare_in(directory, graph, options)
            self._on_prepared()
        except (OSError, LockHeld) as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            logger.warning("graphs cannot be prepared for now, so workers need more memory: %s", error)
        except Exception as error:  # onnxruntime's own errors share no base class
            logger.warning("%s cannot be prepared, so workers need more memory: %s", graph, error)
        else:
            return prepared
        return None

    def _find(self, name: str, directory: Path) -> Path | None:
        """A graph that is there whole, with all of its weights."""
        if directory.is_dir():
            _check_owner(directory)
        for path in directory.glob(f"{name}-{'?' * _DIGEST_CHARACTERS}.onnx"):
            content = path.read_bytes()
            if path.name == _graph_name(name, content) and self._are_intact(directory, files_of(content)):
                return path
        return None

    def _are_intact(self, directory: Path, names: Iterable[str]) -> bool:
        """Whether files of weights are what was written. Those that have not changed are not read again."""
        for path in [directory / name for name in names]:
            state = _state(path)
            if state is None or (self._intact.get(path) != state and file_name(path.read_bytes()) != path.name):
                return False
            self._intact[path] = state
        return True

    def _prepare_in(self, directory: Path, graph: Path, options: ort.SessionOptions) -> Path:
        """Prepare a graph, or find it after all, where another process was about to."""
        with _alone_in(directory):
            found = self._find(graph.stem, directory)
            if found is not None:
                return found
            with _scratch_in(directory) as scratch:
                content, files = _prepare(graph, scratch, options)
                missing = [name for name in files if not self._are_intact(directory, [name])]
                prepared = directory / _graph_name(graph.stem, content)
                _write({**{directory / name: files[name] for name in missing}, prepared: content}, scratch)
        return prepared


def _prepare(graph: Path, scratch: Path, options: ort.SessionOptions) -> tuple[bytes, dict[str, bytes]]:
    """What onnxruntime makes of a graph, and its files of weights by their names."""
    model, weights = scratch / "graph.onnx", scratch / "weights"
    options.optimized_model_filepath = str(model)
    options.add_session_config_entry(_WEIGHTS_FILE, weights.name)
    options.add_session_config_entry(_WITH_PACKED, "1")
    ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return with_a_file_each(model.read_bytes(), weights.read_bytes() if weights.exists() else b"")


def _write(contents: dict[Path, bytes], scratch: Path) -> None:
    """Write files, each of which is there whole or not at all, in order. If one cannot be written, none is."""
    written: list[Path] = []
    try:
        for path, content in contents.items():
            temporary = scratch / path.name
            temporary.write_bytes(content)
            temporary.replace(path)
            written.append(path)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _state(path: Path) -> State | None:
    """What changes whenever a file does. None if there is no such file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _check_owner(directory: Path) -> None:
    """Raise PermissionError where somebody else may have written what is there."""
    found = directory.stat()
    if found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE:
        raise PermissionError(f"{directory} is not this user's alone")


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Hold a directory's lock, and make the directory before.

    Raises:
        LockHeld: It could not be had in LOCK_SECONDS.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(directory)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        until = time.monotonic() + LOCK_SECONDS
        while not _try_to_lock(lock):
            if time.monotonic() > until:
                raise LockHeld(f"{directory / 'lock'} was held by others for {LOCK_SECONDS:.0f} seconds")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(lock)


def _try_to_lock(lock: int) -> bool:
    """Take the lock unless it is held. Returns whether it was taken."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _scratch_in(directory: Path) -> Iterator[Path]:
    """An empty directory. Those of processes that were killed are removed before."""
    for left in directory.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=directory) as scratch:
        yield Path(scratch)


def _graph_name(name: str, content: bytes) -> str:
    return f"{name}-{hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]}.onnx"
