"""The API key that all requests of a run carry."""

import re
import sys

from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtest.run import exit_at_start

_KEY = re.compile(r"[\x21-\x7e]+")


def add_api_key_option(parser: LocustArgumentParser) -> None:
    """Add `--api-key` to locust's command line."""
    parser.add_argument(
        "--api-key",
        default="",
        env_var="LOCUST_API_KEY",
        include_in_web_ui=False,
        help="API key to call with; set LOCUST_API_KEY instead where others can list the machine's processes",
    )


def check_api_key(environment: Environment, **_: object) -> None:
    """Check the key as locust starts, and note the host that it is for: anybody may enter another in the web UI."""
    options = environment.parsed_options
    if options is None or not options.api_key:
        return
    options.api_key = options.api_key.strip()
    if not _KEY.fullmatch(options.api_key):
        sys.exit("the API key has blanks or line breaks within")
    options.api_key_host = environment.host
    if not environment.host:
        exit_at_start(environment, "an API key is only sent to the service that --host names: give its address")


def authorization(environment: Environment) -> dict[str, str]:
    """Return the header field that carries the run's key. Empty without one, or for another host than the key's."""
    options = environment.parsed_options
    if options is None or not options.api_key:
        return {}
    host = getattr(options, "api_key_host", None)
    if host is not None and host.rstrip("/") != (environment.host or "").rstrip("/"):
        return {}
    return {"Authorization": f"Bearer {options.api_key}"}
