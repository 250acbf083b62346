"""The version of the service."""

import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


@cache
def own_version() -> str:
    """Return the service's version: the package's, or the project file's if only sources are there, as in an image."""
    try:
        return version("unrolled")
    except PackageNotFoundError:
        found: str = tomllib.loads(PROJECT.read_text())["project"]["version"]
        return found
