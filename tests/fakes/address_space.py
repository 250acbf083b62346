"""A process that may map only so much, as under `ulimit -v`."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def address_space(num_bytes: int) -> Iterator[None]:
    """Limit what this process may map."""
    before, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (num_bytes, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, most))
