"""How many files and connections a process may have open."""

import logging
import resource
from contextlib import suppress

logger = logging.getLogger(__name__)

ENOUGH = 4096


def raise_limit() -> None:
    """Raise the limit of this process, and of those that it starts, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a system may allow less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    if soft != resource.RLIM_INFINITY and soft < ENOUGH:
        logger.warning(
            "a process may open only %d files and connections, and clients beyond that are disconnected: "
            "raise `ulimit -n` to %d or more",
            soft,
            ENOUGH,
        )
