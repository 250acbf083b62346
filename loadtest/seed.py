"""The seed of a run, which determines the questions of all its users."""

from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

DEFAULT_SEED = 1


def add_seed_option(parser: LocustArgumentParser) -> None:
    """Add `--seed` to locust's command line."""
    parser.add_argument(
        "--seed",
        type=int,
        default=DEFAULT_SEED,
        env_var="LOCUST_SEED",
        help="Random seed; the same seed makes every user ask the same questions again",
    )


def seed_of(environment: Environment) -> str:
    """Return the seed of this process: the run's seed, and the number of the process."""
    seed = environment.parsed_options.seed if environment.parsed_options else DEFAULT_SEED
    return f"{seed}/{getattr(environment.runner, 'worker_index', 0)}"
