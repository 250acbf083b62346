"""The wiring of the BentoML service."""

import subprocess
import sys


def test_the_service_can_be_imported() -> None:
    """Its own process, since BentoML reads the forms' schemas when its decorators run."""
    subprocess.run([sys.executable, "-c", "import service.app"], check=True, timeout=60)
