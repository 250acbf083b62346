"""`python -m service`: check what can be checked before anything starts, then hand over to `bentoml serve`."""

import os
import sys
from pathlib import Path

from service.startup import CHECKS, CannotStart

# How long a stopping worker waits for clients that are slow to send or to read.
GRACEFUL_SECONDS = "10"


def main() -> None:
    """Replace this process with BentoML's server, or exit with the reason."""
    try:
        for check in CHECKS:
            check()
    except CannotStart as error:
        sys.exit(f"unrolled: {error}")
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    bentoml = Path(sys.executable).with_name("bentoml")
    command = [str(bentoml), "serve", "service.app:RNNService", "--timeout-graceful-shutdown", GRACEFUL_SECONDS]
    os.execv(bentoml, command)  # noqa: S606  no shell, fixed arguments


if __name__ == "__main__":
    main()
