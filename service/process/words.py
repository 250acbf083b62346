"""What workers tell the first process: datagrams on abstract sockets, unix(7), whose sender the kernel names."""

import atexit
import logging
import os
import socket
import struct
import sys
from functools import cache
from typing import NamedTuple

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 4096
CREDENTIALS = struct.Struct("=iII")  # unix(7), SCM_CREDENTIALS: process, user, group


class Word(NamedTuple):
    """What a process has said. All is empty if another user of this machine has said it."""

    pid: int
    word: str
    detail: str


class Ear:
    """Hears, in the first process, what is said on a topic.

    Args:
        topic: A name that no other ear of this process has.
    """

    def __init__(self, topic: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(_address(topic, os.getpid()))

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
        pid, user, _ = CREDENTIALS.unpack(ancillary[0][2])
        word, _, detail = message.decode(errors="replace").partition(" ")
        return Word(pid, word, detail) if user == os.geteuid() else Word(0, "", "")


def tell(topic: str, word: str, detail: str = "") -> None:
    """Send the first process a word. Does nothing if it does not listen, or has not heard the ones before yet."""
    if sys.platform != "linux":
        return
    try:
        _mouth().sendto(f"{word} {detail}".encode()[:MAX_MESSAGE_BYTES], _address(topic, os.getppid()))
    except OSError:
        logger.debug("the first process does not listen")


@cache
def _mouth() -> socket.socket:
    """Made once, at the start: a worker may have as many connections open as it can when it has something to say."""
    mouth = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    mouth.setblocking(False)
    atexit.register(mouth.close)
    return mouth


def _address(topic: str, pid: int) -> str:
    return f"\0unrolled:{topic}:{pid}"
