"""Standard output and error without waiting: whoever reads them may stall, as a pager, a log driver or a terminal does.

What a process writes waits in memory for a thread that hands it on. Where too much waits, lines are dropped, and a line
in their place says how many. What a library writes that is not Python goes past all this.
"""

import atexit
import io
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TextIO

from typing_extensions import Buffer

MAX_WAITING_BYTES = 2**20
END_SECONDS = 1.0


class NonBlockingOutput(io.BufferedIOBase):
    """Writes to a file descriptor in a thread, so that whoever writes here never waits.

    RLock and SimpleQueue, since a signal handler may log while it interrupts the thread that holds them.

    Args:
        descriptor: Of a file that is open for writing. It stays open.
        max_waiting_bytes: Lines for which fewer are left, beside others that wait, are dropped.
    """

    def __init__(self, descriptor: int, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self.name = descriptor  # as Python's own files have it
        self._descriptor = descriptor
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        self._num_waiting_bytes = 0
        self._num_dropped_lines = 0
        self._is_dropping = False  # a line whose end has not been written
        self._lock = threading.RLock()
        threading.Thread(target=self._drain, name="output", daemon=True).start()

    def writable(self) -> bool:
        """Whether this can be written to: always."""
        return True

    def fileno(self) -> int:
        """The file descriptor, which subprocesses may be given."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal's."""
        return os.isatty(self._descriptor)

    def write(self, buffer: Buffer, /) -> int:
        """Take lines, or a part of one, and return at once."""
        written = lines = bytes(buffer)
        with self._lock:
            if self._is_dropping:
                end, newline, lines = written.partition(b"\n")
                self._drop(end + newline)
            if self._num_waiting_bytes and self._num_waiting_bytes + len(lines) > self._max_waiting_bytes:
                self._drop(lines)
            elif lines:
                self._report_dropped()
                self._put(lines)
        return len(written)

    def mark(self) -> threading.Event:
        """Return an event that is set once everything written so far has been handed on."""
        mark = threading.Event()
        self._waiting.put(mark)
        return mark

    def _put(self, lines: bytes) -> None:
        self._num_waiting_bytes += len(lines)
        self._waiting.put(lines)

    def _drop(self, lines: bytes) -> None:
        if lines:
            self._num_dropped_lines += lines.count(b"\n")
            self._is_dropping = not lines.endswith(b"\n")

    def _report_dropped(self) -> None:
        if num := self._num_dropped_lines:
            self._num_dropped_lines = 0
            self._put(b"unrolled: %d lines of the log are missing here: nobody read it for too long\n" % num)

    def _drain(self) -> None:
        for lines, mark in self._batches():
            with suppress(OSError):  # whoever read it is gone, or the disk is full
                self._write_all(lines)
            if mark is not None:
                mark.set()
            with self._lock:
                self._num_waiting_bytes -= len(lines)
                if not self._num_waiting_bytes:  # no further line will come to report them
                    self._report_dropped()

    def _batches(self) -> Iterator[tuple[bytes, threading.Event | None]]:
        """As many lines as wait and as a pipe takes whole, so that those of several processes do not mix; or a mark."""
        batch = b""
        while True:
            try:
                part = self._waiting.get(block=not batch)
            except Empty:
                part = b""
            if isinstance(part, threading.Event):
                yield batch, part
                batch = b""
            elif not part or len(batch) + len(part) > select.PIPE_BUF:
                yield batch, None
                batch = part
            else:
                batch += part

    def _write_all(self, lines: bytes) -> None:
        while lines:
            try:
                lines = lines[os.write(self._descriptor, lines) :]
            except BlockingIOError:  # somebody else who shares it has made it so
                select.select([], [self._descriptor], [])


def install_nonblocking_output() -> None:
    """Make this process's standard output and error non-blocking, also for loggers that use them already.

    At the process's end they have END_SECONDS to hand on what waits.
    """
    for name in ("stdout", "stderr"):
        before: TextIO | None = getattr(sys, name)
        if before is None:  # it was closed when the process began
            continue
        output = NonBlockingOutput(before.fileno())
        stream = io.TextIOWrapper(output, before.encoding, "backslashreplace", write_through=True)
        setattr(sys, name, stream)
        for handler in _handlers():
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                handler.setStream(stream)
    atexit.register(flush_output)


def flush_output() -> None:
    """Have what waits handed on, and wait for that for END_SECONDS at most."""
    until = time.monotonic() + END_SECONDS
    outputs = [getattr(stream, "buffer", None) for stream in (sys.stdout, sys.stderr)]
    marks = [output.mark() for output in outputs if isinstance(output, NonBlockingOutput)]
    for mark in marks:
        mark.wait(max(0.0, until - time.monotonic()))


def flush_on_sigterm() -> None:
    """Write out before a SIGTERM ends this process that nobody handles otherwise."""

    def end(number: int, _: FrameType | None) -> None:
        flush_output()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)


def _handlers() -> Iterator[logging.Handler]:
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield from logger.handlers
