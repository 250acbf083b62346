"""What happens at the start and at the end of a run."""

import logging

from locust.env import Environment
from locust.runners import WorkerRunner

logger = logging.getLogger(__name__)
FAILED = 1


def normalise_host(environment: Environment, **_: object) -> None:
    """Remove the slash at the end of `--host`: paths are appended, and none begins with two."""
    environment.host = environment.host.rstrip("/") if environment.host else environment.host


def fail_without_requests(environment: Environment, **_: object) -> None:
    """Set the exit code of a run that sent nothing, which locust takes for a success."""
    if isinstance(environment.runner, WorkerRunner) or environment.stats.total.num_requests:
        return
    logger.error("no request was sent: give the service's address by --host, for instance http://127.0.0.1:3000")
    environment.process_exit_code = FAILED
