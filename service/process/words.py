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

from service.process.service_directory import service_directory

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 4096
CREDENTIALS = struct.Struct("=iII")  # unix(7), SCM_CREDENTIALS: process, user, group


class Word(NamedTuple):
    """A message of a process."""

    pid: int
    word: str
    detail: str


class Ear:
    """Receives a topic's messages in the first process.

    Args:
        topic: A name that no other ear of the service has.
        directory: The service's. In a public one, others could fill the socket's queue, so that workers are not heard.
    """

    def __init__(self, topic: str, directory: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with _address(topic, directory) as address:
            self._socket.bind(address)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def hear(self, seconds: float | None) -> Word:
        """Wait for a message.

        Raises:
            TimeoutError: None has come for so long.
        """
        self._socket.settimeout(seconds)
        message, ancillary, _, _ = self._socket.recvmsg(MAX_MESSAGE_BYTES, socket.CMSG_SPACE(CREDENTIALS.size))
        pid, _, _ = CREDENTIALS.unpack(ancillary[0][2])
        word, _, detail = message.decode(errors="replace").partition(" ")
        return Word(pid, word, detail)


def tell(topic: str, word: str, detail: str = "") -> None:
    """Send a message to the first process. Does nothing if it does not listen, or its queue is full."""
    directory = service_directory()
    if directory is None or sys.platform != "linux":
        return
    try:
        _mouth(topic, directory).send(f"{word} {detail}".encode()[:MAX_MESSAGE_BYTES])
    except OSError:
        logger.debug("the first process did not receive a message")


@cache
def _mouth(topic: str, directory: Path) -> socket.socket:
    """Connect once, at the start: later a worker may have no files left to open, or the directory may be gone."""
    mouth = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    mouth.setblocking(False)
    atexit.register(mouth.close)
    with _address(topic, directory) as address:
        mouth.connect(address)
    return mouth


@contextmanager
def _address(topic: str, directory: Path) -> Iterator[str]:
    """Yield a short path of a socket: at most 107 bytes are allowed, and the directory's own path may be longer."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{topic}"
    finally:
        os.close(descriptor)
