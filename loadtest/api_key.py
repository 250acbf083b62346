"""The API key that all requests of a run carry."""

from locust.argument_parser import LocustArgumentParser
from locust.env import Environment


def add_api_key_option(parser: LocustArgumentParser) -> None:
    """Add `--api-key` to locust's command line."""
    parser.add_argument(
        "--api-key",
        default="",
        env_var="LOCUST_API_KEY",
        include_in_web_ui=False,
        help="API key to call with; set LOCUST_API_KEY instead where others can list the machine's processes",
    )


def authorization(environment: Environment) -> dict[str, str]:
    """Return the header field that carries the run's key. Empty without one."""
    key = environment.parsed_options.api_key if environment.parsed_options else ""
    return {"Authorization": f"Bearer {key}"} if key else {}
