"""The version of the service."""

import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


@cache
def own_version() -> str:
    """The version of the service: the package's or, where only its sources are, as in an image, the project file's."""
    try:
        return version("unrolled")
    except PackageNotFoundError:
        found: str = tomllib.loads(PROJECT.read_text())["project"]["version"]
        return found
