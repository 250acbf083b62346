"""Listeners for the start and the end of a run."""

import logging
import re
import sys

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

logger = logging.getLogger(__name__)
FAILED = 1
CONNECT_SECONDS = 10


def exit_at_start(environment: Environment, reason: str) -> None:
    """End a run that can only fail, as locust starts. A worker goes on: its master decides, and ends it."""
    runner, options = environment.runner, environment.parsed_options
    if options and options.worker:
        return
    if isinstance(runner, MasterRunner):
        with gevent.Timeout(CONNECT_SECONDS, False):
            while options and len(runner.clients.all) < (options.processes or 0):
                gevent.sleep(0.05)
        runner.quit()
    sys.exit(reason)


def check_host(environment: Environment, **_: object) -> None:
    """Exit as locust starts if `--host` is no address."""
    host = environment.host
    if host and not re.match("https?://[^/]", host, re.IGNORECASE):
        exit_at_start(environment, f"--host {host} has no scheme: give http://{host.rpartition('://')[2]}")


def normalise_host(environment: Environment, **_: object) -> None:
    """Write the scheme of `--host` small, and remove a slash at its end, so that paths do not begin with two."""
    scheme, separator, rest = (environment.host or "").partition("://")
    if environment.host:
        environment.host = f"{scheme.lower()}{separator}{rest}".rstrip("/")


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
