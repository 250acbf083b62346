"""A process that may map only so much, as under `ulimit -v`."""

import resource
from contextlib import AbstractContextManager

from tests.limited import limited


def address_space(num_bytes: int) -> AbstractContextManager[None]:
    """Limit what this process may map."""
    return limited(resource.RLIMIT_AS, num_bytes)
