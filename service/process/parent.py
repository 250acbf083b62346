"""Workers die with their parent: BentoML gives each a process group of its own, so a killed parent would leave them."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; Linux only, prctl(2).

    SIGKILL, since a worker that stops gently waits for its slowest client.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
