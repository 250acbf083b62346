"""SIGHUP, which a terminal sends that closes, to the first process.

The process manager would stop all workers at once and start them again. A service ends as by SIGTERM instead, unless it
was to survive its terminal, as by nohup(1).
"""

import logging
import signal

from circus.sighandler import SysHandler  # type: ignore[import-untyped]

logger = logging.getLogger(__name__)


def end_on_hangup() -> None:
    """Have this process manager end at SIGHUP, or ignore it if it is ignored now."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def handle(handler: SysHandler) -> None:
        if is_ignored:
            logger.warning("SIGHUP is ignored, because the service was started with SIGHUP ignored")
        else:
            logger.warning("received SIGHUP: stopping the service")
            handler.handle_term()

    SysHandler.handle_hup = handle
