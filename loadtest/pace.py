"""How fast users go through a session, and how far."""

from locust.argument_parser import LocustArgumentParser
from locust.env import Environment


def add_pace_options(parser: LocustArgumentParser) -> None:
    """Add `--pause` and `--steps` to locust's command line."""
    parser.add_argument(
        "--pause",
        type=float,
        default=0.0,
        env_var="LOCUST_PAUSE",
        help="Seconds between the steps of a session: the time that people think, or between the readings of a device",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=0,
        env_var="LOCUST_STEPS",
        help="Steps of a session; 0: a number drawn for each, and of devices as many as the run has time for",
    )


def pause_of(environment: Environment) -> float:
    """Return the seconds between the steps of a session."""
    return float(environment.parsed_options.pause) if environment.parsed_options else 0.0


def steps_of(environment: Environment) -> int:
    """Return how many steps each session takes. 0 if users may choose."""
    return int(environment.parsed_options.steps) if environment.parsed_options else 0
