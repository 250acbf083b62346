"""Starts a BentoML service of this package with `bentoml serve`."""

import sys
from pathlib import Path

from bench.server import Server, free_port


class BentoServer(Server):
    """A BentoML service.

    Args:
        target: Module and class, as "module:Class".
    """

    def __init__(self, target: str) -> None:
        port = free_port()
        bentoml = str(Path(sys.executable).with_name("bentoml"))
        super().__init__([bentoml, "serve", target, "--host", "127.0.0.1", "--port", str(port)], port)
