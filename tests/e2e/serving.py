"""Networks of tests, which pass connections on in a thread of their own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Network(Protocol):
    """Something between a client and the service."""

    def serve(self) -> None:
        """Take connections until it is closed."""

    def close(self) -> None:
        """Take no more connections."""


AnyNetwork = TypeVar("AnyNetwork", bound=Network)


@contextmanager
def serving(network: AnyNetwork) -> Iterator[AnyNetwork]:
    """A network that serves meanwhile."""
    thread = threading.Thread(target=network.serve)
    thread.start()
    try:
        yield network
    finally:
        network.close()
        thread.join()
