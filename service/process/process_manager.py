"""Changes to BentoML's process manager, circus: who may give it orders, its clock, and what it makes of SIGHUP."""

import logging
import signal
import time
from pathlib import Path
from typing import Any

from circus.arbiter import Arbiter  # type: ignore[import-untyped]
from circus.sighandler import SysHandler  # type: ignore[import-untyped]
from tornado.ioloop import IOLoop

logger = logging.getLogger(__name__)

_LONGEST_PATH = 107  # of a socket, unix(7)


def listen_privately(directory: Path) -> None:
    """Make managers created from now on listen where other users cannot reach them, instead of at two ports.

    A manager runs any command for whoever reaches its sockets.

    Args:
        directory: The service's. If its path is too long for a socket, only this process reaches them, and
            `bentoml serve --reload`, whose watcher is another process, has no effect.
    """
    begin = Arbiter.__init__
    orders, events = (_address(directory / name) for name in ("orders", "events"))

    def begin_privately(
        self: Arbiter,
        watchers: Any,  # noqa: ANN401  circus has no types
        endpoint: str,  # noqa: ARG001  a port
        pubsub_endpoint: str,  # noqa: ARG001
        **others: Any,  # noqa: ANN401
    ) -> None:
        begin(self, watchers, orders, events, **others)

    Arbiter.__init__ = begin_privately


def _address(path: Path) -> str:
    return f"ipc://{path}" if len(bytes(path)) <= _LONGEST_PATH else f"inproc://{path.name}"


def ignore_wall_clock() -> None:
    """Make the manager look for dead workers by a clock that only grows.

    By default it goes by the wall clock: if that is set back, no worker is replaced until it is where it was.
    """
    # tornado converts each time to asyncio's with this method alone.
    IOLoop.time = _monotonic  # type: ignore[method-assign]


def _monotonic(self: IOLoop) -> float:  # noqa: ARG001  a method
    return time.monotonic()


def end_on_hangup() -> None:
    """Make the manager end on SIGHUP, which a closing terminal sends, as on SIGTERM, or ignore it if it is ignored now.

    By default it stops all workers at once and starts them again. SIGHUP is ignored in a service that was started to
    survive its terminal, as by nohup(1).
    """
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def handle(handler: SysHandler) -> None:
        if is_ignored:
            logger.warning("SIGHUP is ignored, because the service was started with SIGHUP ignored")
        else:
            logger.warning("received SIGHUP: stopping the service")
            handler.handle_term()

    SysHandler.handle_hup = handle
