"""Workers die with their parent: BentoML gives each its own process group, so they would outlive a killed parent."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PARENT = "FIRST_PROCESS_OF_UNROLLED"  # its process id, which the processes that it starts inherit


def mark_as_parent() -> None:
    """Mark this process as the parent of those that it starts from now on."""
    os.environ[_PARENT] = str(os.getpid())


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, or end now if it has ended already. Linux only, prctl(2).

    SIGKILL, since a worker that stops gracefully waits for its slowest client.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = int(os.environ.get(_PARENT, 0))
        if parent not in (0, os.getppid()):  # it was killed while this process was starting
            os.kill(os.getpid(), signal.SIGKILL)
