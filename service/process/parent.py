"""Workers die with their parent: BentoML gives each a process group of its own, so a killed parent would leave them."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PARENT = "FIRST_PROCESS_OF_UNROLLED"  # its id, as those inherit it that it starts


def be_parent() -> None:
    """Be the parent of the processes that are started from here on."""
    os.environ[_PARENT] = str(os.getpid())


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, or end now if it has. Linux only, prctl(2).

    SIGKILL, since a worker that stops gently waits for its slowest client.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = int(os.environ.get(_PARENT, 0))
        if parent not in (0, os.getppid()):  # it was killed while this process was starting
            os.kill(os.getpid(), signal.SIGKILL)
