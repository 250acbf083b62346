"""Starts a BentoML service of this package."""

import sys
from pathlib import Path

from bench.server import Server, free_port

STEP_SERVICE = "bench.baselines.step_service:StepService"
BARE_STEP_SERVICE = "bench.baselines.step_service:BareStepService"
TEXT_SERVICE = "bench.baselines.text_service:TextService"


class BentoServer(Server):
    """A BentoML service of this package, started with `bentoml serve`.

    Args:
        target: Module and class, as "module:Class".
    """

    def __init__(self, target: str) -> None:
        port = free_port()
        bentoml = str(Path(sys.executable).with_name("bentoml"))
        super().__init__([bentoml, "serve", target, "--host", "127.0.0.1", "--port", str(port)], port)
