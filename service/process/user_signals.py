"""SIGUSR1 and SIGUSR2, which scripts send to daemons that are to open their log anew, as after logrotate(8).

By default they end the process. This service writes no log file of its own.
"""

import logging
import signal
from types import FrameType

logger = logging.getLogger(__name__)


def ignore_user_signals() -> None:
    """Have this process log such a signal, and do nothing else."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, _log)


def _log(number: int, _: FrameType | None) -> None:
    logger.warning("%s is ignored: the log is what standard output is", signal.Signals(number).name)
