"""Directories of a user's own files, by the XDG base directory specification, which ignores relative paths."""

import os
from collections.abc import Mapping
from pathlib import Path


def state_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory for data that must be kept: `$XDG_STATE_HOME`, or `~/.local/state`.

    Raises:
        RuntimeError: The user has no home.
    """
    return _directory("XDG_STATE_HOME", ".local/state", environment)


def cache_directory() -> Path:
    """Return the directory for data that can be made again: `$XDG_CACHE_HOME`, or `~/.cache`.

    Raises:
        RuntimeError: The user has no home.
    """
    return _directory("XDG_CACHE_HOME", ".cache", os.environ)


def _directory(variable: str, at_home: str, environment: Mapping[str, str]) -> Path:
    given = Path(environment.get(variable, ""))
    return given if given.is_absolute() else Path.home() / at_home
