"""How many files and connections a process may have open."""

import logging
import resource
import sys
from contextlib import suppress
from functools import cache

logger = logging.getLogger(__name__)

RECOMMENDED_FILES = 4096
RESERVED_FILES = 64
SHORT_CONNECTIONS = 16


def raise_limit() -> None:
    """Raise the limit of this process, and of those that it starts, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a system may allow less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    if soft != resource.RLIM_INFINITY and soft < RECOMMENDED_FILES:
        logger.warning(
            "a process may open only %d files and connections, and clients beyond that are disconnected: "
            "raise `ulimit -n` to %d or more",
            soft,
            RECOMMENDED_FILES,
        )


@cache
def first_reserved_descriptor() -> int:
    """The file descriptor from which on none may be a client's: those are for the files that the service opens.

    A new descriptor has the lowest number that is free. So this one is reached when all below it are in use.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft - min(RESERVED_FILES, soft // 8)


@cache
def first_short_descriptor() -> int:
    """The file descriptor from which on a connection may ask only once, so that probes are answered at the limit."""
    first_reserved = first_reserved_descriptor()
    return first_reserved - min(SHORT_CONNECTIONS, first_reserved // 8)
