"""Names of bundles: which ones are those of shipped models, and when another bundle may take them."""

import argparse

from export.errors import NameReserved
from training.tasks import registry


def check_reserved(name: str, why: str, advice: str) -> None:
    """Refuse the name of a shipped model.

    Raises:
        NameReserved: The name is one. The message says why it matters, and gives the advice.
    """
    if name in registry.trainings():
        raise NameReserved(
            f"{why}, and {name} is the name of a model that is trained on published data: {advice}, or add "
            "--replace-shipped to serve yours instead"
        )


def add_replace_shipped(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets a bundle replace a shipped one."""
    parser.add_argument(
        "--replace-shipped",
        action="store_true",
        help="allow a bundle of your own data or weights to take the name of a shipped one and be served instead",
    )
