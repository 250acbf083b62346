"""What workers tell the first process: datagrams in the service's directory, unix(7), whose sender the kernel names."""

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
    """What a process has said."""

    pid: int
    word: str
    detail: str


class Ear:
    """Hears, in the first process, what is said on a topic.

    Args:
        topic: A name that no other ear of the service has.
        directory: The service's. Others could fill the ear, so that workers are not heard.
    """

    def __init__(self, topic: str, directory: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with _address(topic, directory) as address:
            self._socket.bind(address)

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def hear(self, seconds: float | None) -> Word:
        """Wait for a word.

        Raises:
            TimeoutError: Nobody has said one for so long.
        """
        self._socket.settimeout(seconds)
        message, ancillary, _, _ = self._socket.recvmsg(MAX_MESSAGE_BYTES, socket.CMSG_SPACE(CREDENTIALS.size))
        pid, _, _ = CREDENTIALS.unpack(ancillary[0][2])
        word, _, detail = message.decode(errors="replace").partition(" ")
        return Word(pid, word, detail)


def tell(topic: str, word: str, detail: str = "") -> None:
    """Send the first process a word. Does nothing if it does not listen, or has not heard the ones before yet."""
    directory = service_directory()
    if directory is None or sys.platform != "linux":
        return
    try:
        _mouth(topic, directory).send(f"{word} {detail}".encode()[:MAX_MESSAGE_BYTES])
    except OSError:
        logger.debug("the first process did not receive a message")


@cache
def _mouth(topic: str, directory: Path) -> socket.socket:
    """Connected once, at the start: later a worker may have as many files open as it can, or the directory be gone."""
    mouth = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    mouth.setblocking(False)
    atexit.register(mouth.close)
    with _address(topic, directory) as address:
        mouth.connect(address)
    return mouth


@contextmanager
def _address(topic: str, directory: Path) -> Iterator[str]:
    """The path of a socket, which may have 107 bytes: the directory's own may be longer."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{topic}"
    finally:
        os.close(descriptor)
