"""Listeners for the start and the end of a run."""

import logging
import re
import sys

from locust.env import Environment
from locust.runners import WorkerRunner

logger = logging.getLogger(__name__)
FAILED = 1


def check_host(environment: Environment, **_: object) -> None:
    """Exit as locust starts if `--host` is no address. A worker calls whatever host its master names."""
    host, options = environment.host, environment.parsed_options
    if host and not re.match("https?://[^/]", host) and not (options and options.worker):
        sys.exit(f"--host {host} has no scheme: give http://{host.split('://')[-1]}")


def normalise_host(environment: Environment, **_: object) -> None:
    """Remove a slash at the end of `--host`, so that the paths appended to it do not begin with two."""
    environment.host = environment.host.rstrip("/") if environment.host else environment.host


def report_before_sessions_end(environment: Environment, **_: object) -> None:
    """Report to the master before users end their sessions: it waits for half a second only."""
    if isinstance(environment.runner, WorkerRunner):
        environment.runner._send_stats()


def fail_without_requests(environment: Environment, **_: object) -> None:
    """Fail a run that sent no requests, which locust would count as a success."""
    if isinstance(environment.runner, WorkerRunner) or environment.stats.total.num_requests:
        return
    logger.error("no request was sent: give the service's address by --host, for instance http://127.0.0.1:3000")
    environment.process_exit_code = FAILED
