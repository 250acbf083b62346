"""Graphs as onnxruntime has prepared them for this processor, in a directory that the processes of a machine share.

Whenever onnxruntime opens a graph, it turns float16 weights into float32 and packs them for its products: once for each
rung, in each worker. Here that is done once. The weights are kept in files that are named by their content, and that
onnxruntime maps into memory, so rungs and workers with the same weights have one copy of them together.

    graph ─► onnxruntime prepares it ─┬─► <graph>-<digest>.onnx
                                      └─► <digest>.weights of each tensor

The bits are those of the graph itself. A file that is not what was written is made anew.
"""

import fcntl
import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import onnxruntime as ort

from service.bundle.external_weights import file_name, files_of, with_a_file_each
from service.bundle.manifest import Bundle

logger = logging.getLogger(__name__)

_WEIGHTS_FILE = "session.optimized_model_external_initializers_file_name"
_WITH_PACKED = "session.save_external_prepacked_constant_initializers"
_DIGEST_CHARACTERS = 16
LOCK_SECONDS = 10.0
_LOOK_SECONDS = 0.02


class LockHeld(Exception):
    """Another process is about to prepare a graph, and does not get on with it."""


class PreparedGraphs:
    """Prepared graphs, those of each version of a bundle in a directory of their own.

    Args:
        directory: For this process's numerics alone. It is made when it is first needed.
        made: Called after a graph was prepared, which takes several times the memory of the graph for a moment.
    """

    def __init__(self, directory: Path, made: Callable[[], None] = lambda: None) -> None:
        self._directory = directory
        self._call_made = made
        self._intact: set[Path] = set()  # files of weights that were read here, and are what was written
        self._is_usable = True

    def path(self, bundle: Bundle, name: str, options: ort.SessionOptions) -> Path:
        """The prepared form of a graph, which is made unless it is there; the graph itself where that cannot be done.

        Args:
            bundle: A bundle.
            name: Name of the file of one of its graphs.
            options: What the graph is opened with. They are used up.
        """
        graph, directory = bundle.file(name), self._directory / bundle.version
        if self._is_usable:
            try:
                return self._found(graph.stem, directory) or self._made(graph, directory, options)
            except OSError as error:
                self._is_usable = False
                logger.warning("no prepared graphs, so workers need more memory: %s", error)
            except Exception as error:  # onnxruntime's own errors share no base class
                logger.warning("%s is opened unprepared, and needs more memory: %s", graph, error)
        return graph

    def _found(self, name: str, directory: Path) -> Path | None:
        for path in directory.glob(f"{name}-{'?' * _DIGEST_CHARACTERS}.onnx"):
            content = path.read_bytes()
            if path.name == _graph_name(name, content) and self._are_intact(directory, files_of(content)):
                return path
        return None

    def _are_intact(self, directory: Path, names: Iterable[str]) -> bool:
        for path in [directory / name for name in names]:
            if path not in self._intact and (not path.is_file() or file_name(path.read_bytes()) != path.name):
                return False
            self._intact.add(path)
        return True

    def _made(self, graph: Path, directory: Path, options: ort.SessionOptions) -> Path:
        """Prepare a graph, or find it after all, where another process was about to."""
        with _alone_in(directory):
            if (found := self._found(graph.stem, directory)) is not None:
                return found
            with _scratch_in(directory) as scratch:
                content, files = _prepare(graph, scratch, options)
                for name, weights in files.items():
                    if not self._are_intact(directory, [name]):
                        _write(directory / name, weights, scratch)
                made = directory / _graph_name(graph.stem, content)
                _write(made, content, scratch)
        self._call_made()
        return made


def _prepare(graph: Path, scratch: Path, options: ort.SessionOptions) -> tuple[bytes, dict[str, bytes]]:
    """What onnxruntime makes of a graph, and its files of weights by their names."""
    model, weights = scratch / "graph.onnx", scratch / "weights"
    options.optimized_model_filepath = str(model)
    options.add_session_config_entry(_WEIGHTS_FILE, weights.name)
    options.add_session_config_entry(_WITH_PACKED, "1")
    ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return with_a_file_each(model.read_bytes(), weights.read_bytes() if weights.exists() else b"")


def _write(path: Path, content: bytes, scratch: Path) -> None:
    """Write a file that is there whole or not at all."""
    temporary = scratch / path.name
    temporary.write_bytes(content)
    temporary.replace(path)


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Hold a directory's lock, and make the directory before.

    Raises:
        LockHeld: Another process has held it for longer than preparing a graph takes.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        until = time.monotonic() + LOCK_SECONDS
        while not _is_locked(lock):
            if time.monotonic() > until:
                raise LockHeld(f"{lock.name} is held by a process that does not go on")
            time.sleep(_LOOK_SECONDS)
        yield


def _is_locked(lock: IO[str]) -> bool:
    """Whether the lock could be had."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _scratch_in(directory: Path) -> Iterator[Path]:
    """An empty directory, which whoever was killed may have left full."""
    scratch = directory / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _graph_name(name: str, content: bytes) -> str:
    return f"{name}-{hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]}.onnx"
