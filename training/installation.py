"""What the command lines of training and export say where only the service is installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needing_training() -> Iterator[None]:
    """End with one line if a library is missing while modules are imported."""
    try:
        yield
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: training and export need more than the service; run `make setup`, which installs it")
