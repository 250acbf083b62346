"""SIGHUP, which a closing terminal sends to the first process.

By default the process manager stops all workers at once and starts them again. Here the service ends as on SIGTERM,
unless it was started to survive its terminal, as by nohup(1).
"""

import logging
import signal

from circus.sighandler import SysHandler  # type: ignore[import-untyped]

logger = logging.getLogger(__name__)


def end_on_hangup() -> None:
    """Make the process manager end on SIGHUP, or ignore it if it is ignored now."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def handle(handler: SysHandler) -> None:
        if is_ignored:
            logger.warning("SIGHUP is ignored, because the service was started with SIGHUP ignored")
        else:
            logger.warning("received SIGHUP: stopping the service")
            handler.handle_term()

    SysHandler.handle_hup = handle
