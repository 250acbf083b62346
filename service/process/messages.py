"""Workers' messages to the first process: datagrams in the service's directory, unix(7). The kernel names senders."""

import atexit
import logging
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from service.process.output import flush_output
from service.process.service_directory import service_directory

logger = logging.getLogger(__name__)

READY, BEAT = "ready", "beat"  # the heartbeats of a worker that has started, and of one that has not or is stopping
FAILED, END = "failed", "end"
SEND_SECONDS = 1.0
MAX_MESSAGE_BYTES = 4096
CREDENTIALS = struct.Struct("=iII")  # unix(7), SCM_CREDENTIALS: process, user, group
_SOCKET = "messages"


class Message(NamedTuple):
    """A message of a process."""

    pid: int
    kind: str
    detail: str = ""


class Receiver:
    """Receives messages in the first process.

    Args:
        directory: The service's. In a public one, others could fill the socket's queue, so that workers are not heard.
    """

    def __init__(self, directory: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with _address(directory) as address:
            self._socket.bind(address)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def receive(self, seconds: float) -> Message:
        """Wait for a message.

        Raises:
            TimeoutError: None has come for so long.
        """
        self._socket.settimeout(seconds)
        message, ancillary, _, _ = self._socket.recvmsg(MAX_MESSAGE_BYTES, socket.CMSG_SPACE(CREDENTIALS.size))
        pid, _, _ = CREDENTIALS.unpack(ancillary[0][2])
        kind, _, detail = message.decode(errors="replace").partition(" ")
        return Message(pid, kind, detail)


@contextmanager
def report_failures(outages: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Report what keeps this worker from starting to the first process, and raise it.

    Args:
        outages: Failures of something that comes back. They are logged in one line, and this process ends.
    """
    try:
        yield
    except Exception as error:
        is_outage = isinstance(error, outages)
        logger.error("this worker cannot start: %s", error, exc_info=not is_outage)
        send(FAILED, f"a worker cannot start: {error}")
        if is_outage:
            flush_output()
            os._exit(1)
        raise


def report_alive(is_ready: bool) -> None:
    """Tell the first process that this worker's event loop runs, and whether it is ready.

    To be called every BEAT_SECONDS: a message that finds the queue full is lost.
    """
    send(READY if is_ready else BEAT)


def report_stopping() -> None:
    """Tell the first process that this worker is stopping and reports nothing more."""
    send(END)


def send(kind: str, detail: str = "") -> None:
    """Send a message to the first process. Does nothing if it does not listen, or its queue is full.

    What is sent only once, FAILED or END, waits for room in the queue, SEND_SECONDS at most.
    """
    directory = service_directory()
    if directory is None or sys.platform != "linux":
        return
    try:
        sender = _sender(directory)
        sender.settimeout(SEND_SECONDS if kind in (FAILED, END) else 0.0)
        sender.send(f"{kind} {detail}".encode()[:MAX_MESSAGE_BYTES])
    except OSError:
        logger.debug("the first process did not receive a message")


@cache
def _sender(directory: Path) -> socket.socket:
    """Connect once, at the start: later a worker may have no files left to open, or the directory may be gone."""
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    atexit.register(sender.close)
    with _address(directory) as address:
        sender.connect(address)
    return sender


@contextmanager
def _address(directory: Path) -> Iterator[str]:
    """Yield a short path of the socket: at most 107 bytes are allowed, and the directory's own path may be longer."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{_SOCKET}"
    finally:
        os.close(descriptor)
