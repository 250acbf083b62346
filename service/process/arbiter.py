"""BentoML's process manager, circus, which runs any command for whoever reaches its sockets, unasked who that is."""

from typing import Any

from circus.arbiter import Arbiter  # type: ignore[import-untyped]

_ORDERS, _EVENTS = "inproc://orders", "inproc://events"  # within this process; by default two ports of the machine


def take_no_orders() -> None:
    """Give the sockets of managers that are made from here on names that only their own process reaches."""
    begin = Arbiter.__init__

    def begin_alone(
        self: Arbiter,
        watchers: Any,  # noqa: ANN401  circus has no types
        endpoint: str,  # noqa: ARG001  a port
        pubsub_endpoint: str,  # noqa: ARG001
        **others: Any,  # noqa: ANN401
    ) -> None:
        begin(self, watchers, _ORDERS, _EVENTS, **others)

    Arbiter.__init__ = begin_alone
