"""The wiring of the BentoML service."""

import subprocess
import sys

from service.api.inference import Inference
from service.api.questions import Questions
from service.metrics import Metrics

ROUTES = "import service.app; print(*(api.route for api in service.app.RNNService.apis.values()))"


def test_bentomls_port_takes_the_questions_that_the_second_port_takes() -> None:
    """Its own process, since BentoML reads the forms' schemas when its decorators run."""
    command = [sys.executable, "-c", ROUTES]
    ran = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)  # noqa: S603  our own code
    assert set(ran.stdout.split()) == set(Questions(Inference({}, Metrics(), 1.0), 1024).by_path)
