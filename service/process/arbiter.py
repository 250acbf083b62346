"""Protects BentoML's process manager, circus, which runs any command for whoever reaches its sockets."""

from pathlib import Path
from typing import Any

from circus.arbiter import Arbiter  # type: ignore[import-untyped]

_LONGEST_PATH = 107  # of a socket, unix(7)


def take_no_orders(directory: Path) -> None:
    """Make managers created from now on listen where other users cannot reach them, instead of at two ports.

    Args:
        directory: The service's. If its path is too long for a socket, only this process reaches them, and
            `bentoml serve --reload`, whose watcher is another process, has no effect.
    """
    begin = Arbiter.__init__
    orders, events = (_address(directory / name) for name in ("orders", "events"))

    def begin_apart(
        self: Arbiter,
        watchers: Any,  # noqa: ANN401  circus has no types
        endpoint: str,  # noqa: ARG001  a port
        pubsub_endpoint: str,  # noqa: ARG001
        **others: Any,  # noqa: ANN401
    ) -> None:
        begin(self, watchers, orders, events, **others)

    Arbiter.__init__ = begin_apart


def _address(path: Path) -> str:
    return f"ipc://{path}" if len(bytes(path)) <= _LONGEST_PATH else f"inproc://{path.name}"
