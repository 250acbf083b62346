"""A disk that is full, as far as this process can tell."""

import resource
from contextlib import AbstractContextManager

from tests.limited import limited


def full_disk(room: int = 0) -> AbstractContextManager[None]:
    """No file can grow beyond `room` bytes."""
    return limited(resource.RLIMIT_FSIZE, room)
